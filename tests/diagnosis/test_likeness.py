"""What an error looks like is said where it is so, of all elements, and nowhere else."""

from __future__ import annotations

from math import inf, nan, sqrt

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from jaccheck import check
from jaccheck._report import Report
from jaccheck.diagnosis import Evidence, likeness
from jaccheck.enclosure import Ball
from jaccheck.strategies import networks
from tests.planted import planted


def evidence(got, centre, radius=0.0, dtype=torch.float32, **others):
    """Of one parameter ``0.weight``, or of several."""
    jacobians = {"0.weight": (got, centre), **{name.replace("_", "."): pair for name, pair in others.items()}}
    balls = {}
    for name, (_, c) in jacobians.items():
        c = torch.as_tensor(c, dtype=torch.float64)
        balls[name] = Ball(c, torch.full_like(c, radius))
    results = {name: torch.as_tensor(g, dtype=dtype) for name, (g, _) in jacobians.items()}
    among = {name: torch.ones_like(j, dtype=torch.bool) for name, j in results.items()}
    return Evidence(results, balls, dtype, among)


J = torch.arange(1.0, 37).sqrt().view(2, 3, 3, 2).double()  # N, C, O, I
SQUARE = torch.arange(1.0, 37).sqrt().view(2, 2, 3, 3).double()
FEW = 2.0**-20
LONG = torch.arange(1.0, 61).sqrt().view(5, 2, 3, 2).double()

CASES = {
    "nan": (
        torch.where(J > 5, nan, J),
        J,
        "NaN where finite",
        "NaN where a finite value belongs, in 11 of 36 elements",
    ),
    "inf": (torch.where(J > 5, inf, J), J, "infinite where finite", "infinite where a finite value belongs"),
    "zero": (
        torch.where(J > 5, 0, J),
        J,
        "zero",
        "zero where it shouldn't be, in 11 of 36 elements, in sample 1 alone",
    ),
    "finite": (
        torch.where(J > 5, 3.0, J),
        torch.where(J > 5, nan, J),
        "finite where NaN",
        "a finite value where NaN or an infinity belongs, in 11 of 36 elements",
    ),
    "sign": (-J, J, "sign", "the sign is wrong"),
    "two": (2 * J, J, "factor", "a constant factor of 2, which is N here (N=2, C=3)"),
    "three": (3 * J, J, "factor", "a constant factor of C, which is 3 here"),
    "root": (sqrt(2) * J, J, "factor", "a constant factor of √2, which is √N here"),
    "some": (1.37 * J, J, "factor", "a constant factor of 1.37"),
    "little": (J * (1 + 2.0**-12), J, "factor", "a constant factor of 1 +0.00024"),
    "mean": (
        LONG / 5,
        LONG,
        "sum and mean",
        "a constant factor of 1/N: a mean over the samples in place of a sum (N=5)",
    ),
    "also mean": (J / 2, J, "factor", "a constant factor of 1/2, which is 1/N here (N=2, C=3)"),
    "sum": (J.sum(0, keepdim=True).expand_as(J), J, "sum and mean", "each row is the sum over all samples"),
    "classes": (J.mean(1, keepdim=True).expand_as(J), J, "sum and mean", "each row is the mean over all classes"),
    "axes": (SQUARE.mT, SQUARE, "transposed axes", "transposed: the axes of '0.weight' are swapped"),
    "memory": (J.mT.reshape(J.shape), J, "transposed axes", "transposed: the axes of '0.weight' are swapped"),
    "N and C": (SQUARE.transpose(0, 1), SQUARE, "transposed axes", "transposed: the axes N and C are swapped"),
    "samples": (J.flip(0), J, "permuted samples", "permuted samples: they are those of [1, 0]"),
    "outputs": (J.roll(1, 1), J, "permuted classes", "permuted classes: they are those of [2, 0, 1]"),
    "units": (J.roll(1, 2), J, "permuted units", "permuted units: they are those of [2, 0, 1], of '0.weight'"),
    "inputs": (J.flip(3), J, "permuted inputs", "permuted inputs: they are those of [1, 0], of '0.weight'"),
    "same sample": (J[:1].expand_as(J), J, "wrong samples", "the samples are mixed up: they are those of [0, 0]"),
    "half": (J.half(), J, "lower precision", "rounded to float16, element by element"),
    "bfloat16": (J.bfloat16(), J, "lower precision", "rounded to bfloat16, element by element"),
    "small": (J * 0, J * 2.0**-130, "flush to zero", "flushed to zero: subnormal numbers, 36 of 36 elements"),
    "one unit": (
        torch.cat([J[:, :, :2], 2 * J[:, :, 2:]], 2),
        J,
        "factor",
        "factor of 2, which is N here (N=2, C=3), in unit 2 alone",
    ),
    "rounding": (J.float().nextafter(torch.tensor(inf)), J, "inaccurate", "rounded too often: at most 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_shape_is_recognized(name):
    got, centre, shape, words = CASES[name]
    radius = 0.0 if name in ("small", "rounding") else FEW
    found = likeness(evidence(got, centre, radius))
    assert found is not None
    assert found.shape == shape
    assert words in found.words


@pytest.mark.parametrize("name", CASES)
def test_one_element_that_does_not_fit_is_enough_to_say_nothing_of_the_kind(name):
    """Twice: a wrong element among those that fit the shape, and among those that were right."""
    got, centre, shape, _ = CASES[name]
    got = torch.as_tensor(got, dtype=torch.float32).clone(memory_format=torch.contiguous_format)
    radius = 0.0 if name in ("small", "rounding") else FEW
    for place in (0,) if name == "finite" else (0, -1):  # there any number is wrong in the same way
        spoilt = got.clone()
        spoilt.view(-1)[place] = 1234.5
        found = likeness(evidence(spoilt, centre, radius))
        assert found is None or found.shape != shape


def test_one_layer_or_parameter_is_named():
    found = likeness(evidence(J, J, FEW, **{"2_weight": (3 * J, J), "2_bias": (3 * J[..., 0], J[..., 0])}))
    assert found.words == "a constant factor of C, which is 3 here (N=2, C=3), in layer '2' alone"
    found = likeness(evidence(J, J, FEW, **{"2_weight": (-J, J), "2_bias": (J[..., 0], J[..., 0])}))
    assert found.words == "the sign is wrong: -1 times the Jacobian, in '2.weight' alone"
    torch.manual_seed(0)
    found = likeness(evidence(J, J, FEW, **{"2_weight": (torch.randn(J.shape), J)}))
    assert (found.shape, found.words) == ("one parameter only", "in '2.weight' alone")


def test_what_is_elsewhere_has_to_be_right_and_not_zero_for_a_place_to_be_named():
    assert (
        likeness(evidence(-J, J, FEW, **{"2_weight": (0 * J, 0 * J)})).words
        == "the sign is wrong: -1 times the Jacobian"
    )


@pytest.mark.parametrize(("elsewhere", "where"), [(FEW, "in '0.weight' alone"), (20.0, "of '0.weight'")])
def test_a_number_times_one_parameter_is_said_before_any_permutation(elsewhere, where):
    """Minus each unit's row is another unit's; elsewhere all is right, or so little is known that it may be zero."""
    rows = torch.tensor([[1.0, -1], [-1, 1], [1, 1], [-1, -1]], dtype=torch.float64).expand(2, 2, 4, 2)
    proof = evidence(-rows, rows, FEW, **{"2_weight": (J, J + elsewhere / 2)})
    proof.balls["2.weight"].radius.fill_(elsewhere)
    found = likeness(proof)
    assert (found.shape, found.words) == ("sign", f"the sign is wrong: -1 times the Jacobian, {where}")


def test_of_what_is_unknown_nothing_is_said():
    """Half of the sum over the samples is unknown, and so is the sum."""
    proof = evidence(J.sum(0, keepdim=True).expand_as(J), J, FEW)
    proof.balls["0.weight"].radius[0] = inf
    found = likeness(proof)
    assert found is None or found.shape != "sum and mean"


@given(k=st.floats(-100, 100), numbers=st.lists(st.floats(0.5, 2), min_size=4, max_size=4))
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_whatever_the_factor_it_is_told_to_its_digits(k, numbers):
    centre = torch.tensor(numbers, dtype=torch.float64).view(2, 2, 1, 1)
    got = k * centre.float()
    if abs(k) < 1e-4 or k == 1:  # nothing is said of almost nothing, nor of what is right
        return
    found = likeness(evidence(got, centre, 2.0**-22))
    if abs(k - 1) < 2.0**-20:
        assert found is None or found.shape != "factor"
    elif abs(k + 1) > 2.0**-20:
        assert found.shape in ("factor", "sum and mean", "permuted samples", "permuted classes", "lower precision")


FAULTS = {
    "sign": lambda j: -j,
    "factor": lambda j: 2 * j,
    "transposed axes": lambda j: j.mT.reshape(j.shape) if j.dim() == 4 else j,
    "permuted samples": lambda j: j.flip(0),
    "permuted classes": lambda j: j.flip(1),
    "permuted units": lambda j: j.roll(1, 2),
    "zero": lambda j: torch.cat([j[:-1], 0 * j[-1:]]),
    "sum and mean": lambda j: j / len(j),
    "lower precision": lambda j: j.bfloat16().to(j.dtype),
    "wrong samples": lambda j: j[:1].expand_as(j),
}


def verdict_on(alter, law="enclosure"):
    def fault(model, x, J):
        return {name: alter(j) for name, j in J.items()}

    with torch.random.fork_rng(), planted(fault) as path:
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 4))
        report = check(model, torch.rand(5, 3) + 0.5, paths=(path,), properties=(law,))
    verdict = report.verdicts[path]
    assert Report.from_json(report.to_json()).verdicts[path] == verdict
    assert f"  looks like  {verdict.looks_like}\n" in str(report)
    return verdict


@pytest.mark.parametrize("shape", FAULTS)
def test_a_path_with_such_a_fault_looks_like_it(shape):
    assert verdict_on(FAULTS[shape]).error_shape == shape


def test_a_malformed_jacobian_may_have_its_axes_transposed():
    verdict = verdict_on(lambda j: j.transpose(0, 1))
    assert (verdict.kind, verdict.looks_like) == ("shape", "transposed: the axes N and C are swapped")
    verdict = verdict_on(lambda j: j.mT if j.dim() == 4 else j)
    assert (verdict.kind, verdict.looks_like) == ("shape", "transposed: the axes of '2.weight' are swapped")


def test_where_a_property_makes_another_problem_it_is_that_which_is_looked_at():
    verdict = verdict_on(lambda j: j if len(j) == 5 else -j, "batching")
    assert (verdict.property, verdict.error_shape) == ("batching", "sign")


def test_it_is_that_whose_jacobian_is_malformed():
    """Its parameters have other names than the model's own, which has a `weight` and no `0.weight`."""

    def fault(model, x, J):
        large = len(x) > 8 or J["0.weight" if "0.weight" in J else "weight"].shape[-1] > 8
        return {name: j.transpose(0, 1) if large else j for name, j in J.items()}

    torch.manual_seed(0)
    with planted(fault) as path:
        verdict = check(nn.Linear(3, 2), torch.rand(3, 3), paths=(path,), properties=("sizes",)).verdicts[path]
    assert (verdict.property, verdict.kind, verdict.parameter) == ("sizes", "shape", "0.weight")
    assert verdict.looks_like == "transposed: the axes N and C are swapped"


def test_results_that_add_up_from_call_to_call_are_told():
    sums = {}

    def fault(model, x, J):
        before = sums.get(model, {})
        sums[model] = {n: j + before[n] if n in before and before[n].shape == j.shape else j for n, j in J.items()}
        return sums[model]

    torch.manual_seed(0)
    with planted(fault) as path:
        report = check(nn.Linear(3, 2), torch.rand(2, 3), paths=(path,), properties=("sequence",))
    assert report.verdicts[path].error_shape == "accumulates over calls"
    assert "the k-th gives k times what the first gives" in report.verdicts[path].looks_like


def test_paths_that_are_wrong_together_are_all_named():
    """None is believed because others say the same."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), torch.rand(3, 2)

    def halved(model, x, J):
        return {name: j / 2 for name, j in J.items()}

    with planted(halved, "one"), planted(halved, "two"), planted(halved, "three"):
        report = check(model, x, paths=("one", "two", "three"))
    assert {v.status for v in report.verdicts.values()} == {"disagrees"}
    assert {v.looks_like for v in report.verdicts.values()} == {
        "a constant factor of 1/2, which is 1/C here (N=3, C=2)"
    }
    assert not report.ok


@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(network=networks(max_outputs=12, max_width=9))
def test_a_verdict_that_does_not_disagree_looks_like_nothing(network):
    for verdict in check(*network.build(), images=False).verdicts.values():
        assert verdict.status == "disagrees" or verdict.looks_like is None


def test_a_second_call_that_adds_to_the_first_is_told_from_one_that_differs():
    said = {}
    for name, factors in (("accumulating", (1, 2)), ("drifting", (1, 1.5))):
        following = iter(factors)

        def fault(model, x, J, following=following):
            k = next(following)
            return {name: k * j for name, j in J.items()}

        with planted(fault) as path:
            report = check(nn.Linear(2, 2), torch.ones(1, 2), paths=(path,), properties=("determinism",))
        assert report.verdicts[path].kind == "nondeterministic"
        said[name] = report.verdicts[path].looks_like
    words = "it accumulates over calls: the second gives twice what the first gives"
    assert said == {"accumulating": words, "drifting": None}


def test_half_of_a_number_is_no_rounding_to_bfloat16_though_it_is_one_of_its_numbers():
    model, x = nn.Sequential(nn.Linear(1, 1), nn.Tanh()).double(), torch.zeros(1, 1, dtype=torch.float64)
    with torch.no_grad():
        model[0].bias.zero_()
    with planted(lambda model, x, J: {name: j / 2 for name, j in J.items()}) as path:
        assert check(model, x, paths=(path,)).verdicts[path].looks_like == "a constant factor of 1/2"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("samples", [50, 300, 3000])
def test_noise_is_no_sum_though_so_wide_a_radius_holds_anything(samples, dtype):
    """The rounding of a sum of many terms, and that of a mean, are as large as the values."""
    generator = torch.Generator().manual_seed(0)
    right = (0.15 + 0.1 * torch.rand(samples, 1, 1, generator=generator)).to(dtype).double()
    noise = 0.05 * torch.randn(samples, 1, 1, generator=generator)
    found = likeness(evidence(right * (1 + noise), right, 0.01, dtype))
    assert found is None or found.shape != "sum and mean"


def test_a_row_whose_radius_holds_anything_is_none_that_took_another_ones_place():
    wide = evidence(J * (1 + 0.05 * torch.cos(7 * J)), J, FEW)
    wide.balls["0.weight"].radius[1] = 10.0
    found = likeness(wide)
    assert found is None or "samples" not in found.shape
