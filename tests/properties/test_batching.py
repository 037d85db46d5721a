"""What the property batching makes of a problem, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jaccheck import check
from jaccheck._problem import admit
from jaccheck.properties._variants import Variant
from jaccheck.properties.batching import MANY, Batching
from tests.planted import planted

X = torch.tensor([[1.0, 2.0], [3.0, -4.0], [-5.0, 6.0], [7.0, 8.0], [0.5, -0.25]])


def problem(N, model=None):
    return admit(model or nn.Linear(2, 3), X[:N].clone())


def judged(model, x, path="vmap_jacrev"):
    return check(model, x, paths=(path,), properties=("batching",)).verdicts[path]


@pytest.mark.parametrize("N", range(1, 6))
def test_each_variant_has_a_row_for_each_sample(N):
    """And it is the row of that very sample."""
    original = problem(N)
    variants = list(Batching().variants(original))
    assert len(variants) == (7 if N > 1 else 5)
    for variant in variants:
        assert isinstance(variant, Variant)
        assert sorted(n for take in variant.takes for n in take.samples) == list(range(N))
        for take in variant.takes:
            for row, n in zip(take.rows, take.samples, strict=True):
                assert torch.equal(take.problem.x[row], original.x[n])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_one_class_alone_is_at_either_end_of_the_dtypes_range(dtype):
    *_, enlarged, diminished = Batching().variants(admit(nn.Linear(2, 3).to(dtype), X[:2].to(dtype)))
    finfo = torch.finfo(dtype)
    for variant, least, most in ((enlarged, finfo.max / 2, finfo.max), (diminished, 0, finfo.tiny / 4)):
        (take,) = variant.takes
        factors = take.problem.model[1].weight
        one, *others = sorted(factors.diagonal().tolist(), key=lambda factor: factor == 1)
        assert least < one <= most
        assert others == [1, 1]
        assert factors.count_nonzero() == 3
        assert "1.weight" not in take.problem.parameters
    assert len(list(Batching().variants(admit(nn.Linear(2, 1).to(dtype), X[:2].to(dtype))))) == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_subnormal_numbers_are_no_zeros(dtype):
    """In float64 the enclosure, which is computed in it, leaves that to `exact`."""
    tiny = torch.finfo(dtype).tiny
    model, x = nn.Linear(2, 3).to(dtype), X[:2].to(dtype)
    with planted(lambda model, x, J: {name: torch.where(j.abs() < tiny, 0 * j, j) for name, j in J.items()}) as path:
        assert check(model, x, paths=(path,)).ok
        verdict = judged(model, x, path)
    assert (verdict.status, verdict.got) == ("disagrees", 0)
    assert "with class" in verdict.reason


@pytest.mark.parametrize("size", [5, 0.25])  # where twice an entry would do, and where it wouldn't
def test_a_class_that_overflows_is_no_matter_of_others(size):
    def spread(j):
        return j + 0 * j.sum(1, keepdim=True)

    model, x = nn.Linear(2, 3), size * torch.ones(2, 2)
    with planted(lambda model, x, J: {name: spread(j) for name, j in J.items()}) as path:
        verdict = judged(model, x, path)
        assert check(model, x, paths=(path,)).ok
    assert verdict.status == "disagrees"
    assert verdict.parameter in dict(model.named_parameters())
    assert verdict.looks_like is not None
    assert verdict.reason.startswith("with class")
    assert judged(model, x).status == "agrees"


def test_every_sample_but_one_stands_beside_one_that_is_not_finite():
    strangers = [
        take.problem.x
        for variant in Batching().variants(problem(3))
        for take in variant.takes
        if not take.problem.x.isfinite().all()
    ]
    assert {tuple((~x.isfinite()).all(1).tolist()) for x in strangers} == {
        (True, False, False, False, True, True),
        (False, False, True),
        (True, False, False),
    }


def test_a_batch_is_enlarged_to_many_sizes():
    """Which one, the problem decides; as far as there are few outputs and parameters."""
    sizes = set()
    for N in range(2, 40):
        every = [
            take.problem.N for variant in Batching().variants(problem(N)) for take in variant.takes if take.problem
        ]
        sizes.add(max(every))
    assert len(sizes & set(MANY)) >= 4


class OfThree(nn.Module):
    """Takes batches of three alone."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x.view(3, 2))


def test_what_the_model_does_not_take_is_not_held_against_a_path():
    assert judged(OfThree(), X[:3], "batch_grad").status == "agrees"  # where one of three is overwritten


def test_nothing_is_said_of_no_samples():
    verdict = judged(nn.Linear(2, 3), X[:0])
    assert verdict.status == "vacuous"
    assert verdict.reason == "there are no samples"


def test_a_nan_elsewhere_is_found_in_the_loop_over_the_outputs():
    """torch's: the gradient of the other samples is 0, and 0 NaN is NaN."""
    verdict = judged(nn.Linear(2, 3), X, "autograd")
    assert verdict.status == "disagrees"
    assert verdict.reason.startswith("between samples of nan")


def test_the_users_model_and_the_modes_of_torch_stay_as_they_are():
    model, x = nn.Linear(2, 3), X.clone()
    with torch.no_grad():
        before = admit(model, x).before
        judged(model, x)
        assert before.changes() == []
