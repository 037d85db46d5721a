"""check(): one verdict a path, whatever the path does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

import jaccheck
from jaccheck import Disagreement, InvalidProblem, Report, Unsupported, Verdict
from jaccheck._problem import admit
from jaccheck.judging.judge import Judge
from jaccheck.paths import register_path, unregister_path
from jaccheck.strategies import networks
from tests.planted import planted


class Ours:
    """A path that makes something else of what autograd gives."""

    name = "ours"

    def __init__(self, make: Callable[[dict[str, Tensor]], Any]) -> None:
        self.make = make

    def jacobian(self, model: nn.Module, x: Tensor) -> Any:
        return self.make(jaccheck.jacobian(model, x))


@pytest.fixture
def ours() -> Iterator[Callable[[Callable[[dict[str, Tensor]], Any]], Report]]:
    """Registers a path that makes `make` of the Jacobian, and checks it."""
    model, x = example()

    def checked(make: Callable[[dict[str, Tensor]], Any], **options: Any) -> Report:
        register_path(Ours(make))
        return jaccheck.check(model, x, paths=("autograd", "ours"), **options)

    yield checked
    unregister_path("ours")


class Broken(dict[str, Tensor]):
    """A mapping that can't be read."""

    def items(self) -> Any:
        raise KeyError("0.weight")


def example(dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).to(dtype)
    return model, torch.randn(5, 4, dtype=dtype)


def inference(j: Tensor) -> Tensor:
    with torch.inference_mode():
        return j.clone()


def changed(name: str, change: Callable[[Tensor], Any]) -> Callable[[dict[str, Tensor]], dict[str, Any]]:
    return lambda J: J | {name: change(J[name])}


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda J: None, "missing", "None"),
        (lambda J: list(J.values()), "missing", "list"),
        (lambda J: {}, "missing", "no Jacobian of '0.weight'"),
        (lambda J: J | {"bogus": J["0.bias"]}, "missing", "bogus"),
        (changed("0.bias", lambda j: None), "missing", "None"),
        (changed("0.bias", lambda j: j.mT), "shape", "[5, 3, 2]"),
        (changed("0.bias", lambda j: j[:1]), "shape", "[1, 2, 3]"),
        (changed("0.bias", lambda j: j.double()), "shape", "float64"),
        (changed("0.bias", lambda j: j.to_sparse()), "shape", "sparse"),
        (changed("0.bias", lambda j: j.to("meta")), "shape", "meta"),
        (changed("0.bias", inference), "shape", "inference tensor"),
        (changed("0.bias", lambda j: torch.quantize_per_tensor(j, 0.1, 0, torch.qint8)), "shape", "qint8"),
        (changed("0.bias", lambda j: torch.nested.nested_tensor(list(j))), "shape", "nested"),
        (lambda J: dict(enumerate(J.values())), "missing", "0, 1"),
        (lambda J: Broken(J), "raised", "KeyError"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:.*quantize")
@pytest.mark.parametrize("options", [{}, {"repeat": True, "images": True}], ids=["once", "twice, with pictures"])
def test_a_malformed_result_is_a_verdict(ours, make, kind, says, options):
    report = ours(make, **options)
    verdict = report.verdicts["ours"]
    assert (verdict.status, verdict.kind) == ("disagrees", kind)
    assert says in str(report)
    assert report.verdicts["autograd"].status == "agrees"
    json.loads(report.to_json())


def test_a_wrong_element_is_named_with_its_numbers(ours):
    def wrong(j: Tensor) -> Tensor:
        j = j.clone()
        j[3, 1, 2, 0] += 1
        return j

    verdict = ours(changed("0.weight", wrong)).verdicts["ours"]
    assert (verdict.kind, verdict.parameter, verdict.index, verdict.outside) == ("value", "0.weight", (3, 1, 2, 0), 1)
    assert verdict.got == pytest.approx(verdict.centre + 1)
    assert verdict.ratio == pytest.approx(1 / verdict.radius, rel=1e-3)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_is_wrong_where_the_enclosure_is(ours, wrong):
    verdict = ours(changed("2.bias", lambda j: torch.full_like(j, wrong))).verdicts["ours"]
    assert (verdict.kind, verdict.outside, verdict.ratio) == ("value", 20, float("inf"))


class Undeclared:
    """Forward mode, but for the word of it."""

    name = "undeclared"

    def __init__(self, mode: str, factor: float) -> None:
        self.mode, self.factor = mode, factor

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        return {name: self.factor * j for name, j in jaccheck.jacobian(model, x, path="vmap_jacfwd").items()}


def test_of_a_path_that_goes_forward_without_saying_so_that_is_said():
    """Among float16's smallest numbers, the products on the way forward lose more than those on the way back."""
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(3))).half()
    for layer, weight in zip(model, (2.0**-14, 2.0**-14, 8.0), strict=True):
        nn.init.constant_(layer.weight, 1.25 * weight)
    x = torch.full((1, 1), 2.0**-10).half()

    def judged(mode: str, factor: float = 1.0) -> Verdict:
        register_path(Undeclared(mode, factor))
        try:
            return jaccheck.check(model, x, paths=["undeclared"]).verdicts["undeclared"]
        finally:
            unregister_path("undeclared")

    assert judged("forward").status == "agrees"
    assert judged("reverse").status == judged("reverse", 64.0).status == "disagrees"
    assert 'mode = "forward"' in str(judged("reverse").reason)
    assert judged("reverse", 64.0).reason is None


def test_an_exception_is_a_verdict_with_its_words(ours):
    def fail(J: dict[str, Tensor]) -> None:
        raise ZeroDivisionError("by 0")

    verdict = ours(fail).verdicts["ours"]
    assert (verdict.status, verdict.kind, verdict.reason) == ("disagrees", "raised", "ZeroDivisionError: by 0")


class Mute(Exception):
    def __str__(self) -> str:
        raise NotImplementedError

    __repr__ = __str__


@pytest.mark.parametrize(("raised", "reason"), [(SystemExit(0), "SystemExit: 0"), (Mute(), "Mute")])
@pytest.mark.parametrize("repeat", [False, True])
def test_whatever_is_raised_is_a_verdict(ours, raised, reason, repeat):
    def fail(J: dict[str, Tensor]) -> None:
        raise raised

    verdict = ours(fail, repeat=repeat).verdicts["ours"]
    assert (verdict.status, verdict.kind, verdict.reason) == ("disagrees", "raised", reason)


def test_a_refusal_is_in_the_path_s_own_words(ours):
    def refuse(J: dict[str, Tensor]) -> None:
        raise Unsupported("not on Tuesdays")

    report = ours(refuse)
    assert report.ok
    assert (report.verdicts["ours"].status, report.verdicts["ours"].reason) == ("unsupported", "not on Tuesdays")


def test_an_interrupt_passes_and_leaves_no_trace():
    model, x = example()
    before = torch.get_rng_state()

    def interrupted(J: dict[str, Tensor]) -> None:
        torch.rand(1)
        model.train(False)
        raise KeyboardInterrupt

    register_path(Ours(interrupted))
    try:
        with pytest.raises(KeyboardInterrupt):
            jaccheck.check(model, x, paths=["ours"])
    finally:
        unregister_path("ours")
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_path_leaves_behind_is_named_and_put_back(ours):
    def careless(J: dict[str, Tensor]) -> dict[str, Tensor]:
        torch.manual_seed(1)
        return J

    before = torch.get_rng_state()
    verdict = ours(careless).verdicts["ours"]
    assert (verdict.kind, verdict.property) == ("state", "state")
    assert "random state" in verdict.reason
    assert torch.equal(torch.get_rng_state(), before)


def test_the_second_call_is_compared_where_it_is_asked_for(ours):
    calls: list[None] = []

    def drifting(j: Tensor) -> Tensor:
        calls.append(None)
        return j * (1 + len(calls) * 2.0**-24)  # within the enclosure each time

    report = ours(changed("2.weight", drifting), repeat=True)
    assert report.verdicts["ours"].kind == "nondeterministic"
    assert len(calls) == 2
    assert report.again == "jaccheck.check(model, x, paths=('autograd', 'ours'), repeat=True)"


def test_what_the_enclosure_knows_is_said_whatever_is_wrong():
    def careless(model, x, J):
        torch.manual_seed(1)
        return J

    with planted(careless, base="autograd") as path:
        known, wrong = jaccheck.check(*example(), paths=["autograd", path]).verdicts.values()
        alone, turned = (
            jaccheck.check(*example(), paths=[path], properties=laws).verdicts[path]
            for laws in (["state"], ["state", "enclosure"])
        )
    assert [verdict.property for verdict in (wrong, alone, turned)] == ["state"] * 3
    for fact in ("elements", "vacuous", "resolution", "resolutions"):
        assert getattr(wrong, fact) == getattr(turned, fact) == getattr(known, fact)
    assert (alone.elements, alone.resolution) == (0, None)


def test_two_faults_of_one_path_are_both_told(ours):
    def wrong(J: dict[str, Tensor]) -> dict[str, Tensor]:
        torch.manual_seed(1)
        return {name: -j for name, j in J.items()}

    verdict = ours(wrong).verdicts["ours"]
    assert verdict.kind == "value"
    assert "besides, state" in verdict.reason


def test_a_disagreement_is_raised_with_its_report(ours):
    model, x = example()
    register_path(Ours(lambda J: {name: 2 * j for name, j in J.items()}))
    with pytest.raises(Disagreement, match=r"'ours' lies outside the enclosure of the Jacobian") as caught:
        jaccheck.assert_agreement(model, x, paths=["ours"])
    assert caught.value.report is not None
    assert not caught.value.report.ok


@dataclass(frozen=True)
class Flat:
    """A path that declines what holds other containers, and is wrong elsewhere."""

    name: str

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        if any(isinstance(child, nn.Sequential) for child in model.children()):
            raise Unsupported("only a flat Sequential")
        return {name: 1.5 * j for name, j in jaccheck.jacobian(model, x).items()}


@pytest.mark.parametrize("law", ["sizes", "every_input"])
def test_paths_that_decline_the_model_and_are_wrong_on_those_made_of_it_are_both_told(law):
    names = ("one", "another")
    for name in names:
        register_path(Flat(name))
    try:
        model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
        report = jaccheck.check(model, torch.ones(2, 2), paths=names, properties=[law])
        assert {verdict.kind for verdict in report.verdicts.values()} == {"value"}
        assert len({verdict.looks_like for verdict in report.verdicts.values()}) == 1
    finally:
        for name in names:
            unregister_path(name)


@pytest.mark.parametrize("options", [{"paths": ["nobody"]}, {"properties": ["beauty"]}, {"paths": []}])
def test_an_unknown_name_is_refused(options):
    with pytest.raises(InvalidProblem, match=r"nobody|beauty|no path is named"):
        jaccheck.check(*example(), **options)


# Where the oracle doesn't understand the model


def test_a_wrong_forward_pass_is_a_finding_and_accuses_no_path(monkeypatch):
    right = F.relu
    monkeypatch.setattr(F, "relu", lambda t, inplace=False: right(t) * (1 + 2.0**-12))
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    report = jaccheck.check(model, torch.ones(2, 3))
    assert not report.ok
    assert report.forward is not None
    assert report.forward.layer == "1"
    assert {verdict.status for verdict in report.verdicts.values()} == {"vacuous"}


def behind_nothing_known():
    """Softshrink, of NaN; of the output nothing is known, as the NaN is multiplied by 0."""
    model = nn.Sequential(nn.Softshrink(), nn.Linear(1, 1, bias=False))
    nn.init.zeros_(model[1].weight)
    return model, torch.tensor([[torch.nan]])


def test_a_value_that_is_wrong_on_the_way_to_an_output_of_which_nothing_is_known_accuses_no_path(monkeypatch):
    """As Softshrink of NaN is in torch 2.2."""
    monkeypatch.setattr(F, "softshrink", lambda t, lambd: t.nan_to_num())
    report = jaccheck.check(*behind_nothing_known())
    assert report.forward is not None
    assert (report.forward.layer, report.forward.got) == ("0", 0.0)
    assert report.verdicts["autograd"].status == report.verdicts["batch_grad"].status == "vacuous"


def test_a_hook_on_the_way_to_an_output_of_which_nothing_is_known_is_a_reason_to_say_nothing():
    model, x = behind_nothing_known()
    model[0].register_forward_hook(lambda layer, inputs, output: output.nan_to_num())
    report = jaccheck.check(model, x, paths=("autograd",))
    assert report.forward is None
    assert "forward hook" in report.verdicts["autograd"].reason


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def with_hook(model: nn.Sequential) -> None:
    model[0].register_forward_hook(lambda layer, inputs, output: 2 * output)


def with_parametrization(model: nn.Sequential) -> None:
    parametrize.register_parametrization(model[0], "weight", Doubled())


class Rounded(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 + self.weight.sum().item())


def with_forward_of_its_own(model: nn.Sequential) -> None:
    model[0] = Rounded(3, 3)


@pytest.mark.parametrize(
    ("disturb", "says"),
    [
        (with_hook, "0 (Linear) has a forward hook"),
        (with_parametrization, "is parametrized"),
        (with_forward_of_its_own, "0 (Rounded) is a subclass with a forward of its own"),
    ],
)
def test_where_a_reason_shows_the_verdict_is_vacuous_with_it(disturb, says):
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    disturb(model)
    report = jaccheck.check(model, torch.ones(2, 3), paths=["autograd"])
    assert report.ok
    assert report.verdicts["autograd"].status == "vacuous"
    assert says in report.verdicts["autograd"].reason


def test_a_hook_that_only_looks_spoils_nothing():
    model, x = example()
    seen = []
    model[0].register_forward_hook(lambda layer, inputs, output: seen.append(output))
    assert jaccheck.check(model, x, paths=["autograd"]).verdicts["autograd"].status == "agrees"


def test_without_a_rule_the_verdict_is_vacuous_and_shows_the_difference(ours):
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2))
    register_path(Ours(changed("2.bias", lambda j: j + 0.25)))
    report = jaccheck.check(model, torch.randn(3, 1, 4), paths=["autograd", "ours"])
    assert "no enclosure for Conv1d" in report.verdicts["ours"].reason
    assert [verdict.difference for verdict in report.verdicts.values()] == [0.25, 0.25]


class Residual(nn.Module):
    """What torch.fx has to trace: uses of a layer, a parameter and a buffer of the module's own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 4), nn.Linear(8, 2)
        self.scale = nn.Parameter(torch.rand(4))
        self.register_buffer("shift", torch.rand(1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(torch.tanh(self.inner(x))) * self.scale + x - self.shift
        h = torch.cat([F.elu(h), h * x], dim=1).view(x.shape[0], -1)
        return self.outer(h) / 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_own_modules_are_judged(dtype):
    torch.manual_seed(0)
    model = Residual().to(dtype)
    report = jaccheck.check(model, torch.randn(3, 4, dtype=dtype), paths=["autograd", "vmap_jacrev", "vmap_jacfwd"])
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}
    assert all(verdict.vacuous == 0 for verdict in report.verdicts.values())


def test_every_use_of_a_layer_counts():
    layer = nn.Linear(3, 3)
    report = jaccheck.check(nn.Sequential(layer, nn.Tanh(), layer), torch.randn(2, 3), paths=["autograd", "batch_grad"])
    assert report.verdicts["autograd"].status == "agrees"
    assert report.verdicts["batch_grad"].status == "disagrees"  # a defect of BackPACK's


# What a verdict claims


def test_the_resolution_is_infinite_where_nothing_is_known_of_a_parameter():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).half()
    for weight, value in ((model[0].weight, 1e-4), (model[1].weight, 2.0)):
        nn.init.constant_(weight, value)
    for N in (1, 70_000):  # as a whole, and slice by slice
        report = jaccheck.check(model, torch.full((N, 1), 60_000.0, dtype=torch.float16), paths="batch_grad")
        (verdict,) = report.verdicts.values()
        assert (verdict.status, verdict.vacuous) == ("agrees", N)
        assert verdict.resolutions["0.weight"] == verdict.resolution == math.inf
        assert verdict.resolutions["0.bias"] < 0.01


@given(network=networks(max_batch=3, max_width=8, max_depth=2, max_outputs=12))
def test_an_error_above_the_resolution_is_caught(network):
    """Whichever element has it, wherever in its ball the correct value lies."""
    model, x = network.build()
    judge = Judge(admit(model, x))
    assume(judge.reason is None)
    J = jaccheck.jacobian(model, x)
    correct = judge.compare(J)
    assume(not correct.outside and not correct.vacuous)
    balls = jaccheck.enclosure(model, x)
    for name, j in J.items():
        if not j.numel():
            continue
        resolution, largest = correct.resolutions[name], balls[name].centre.abs().max()
        error = 1.01 * resolution * largest
        if not 0 < error < float("inf"):
            continue
        wrong = (j.double() + error).to(j.dtype)
        moved = (wrong.double() - j.double()).abs() > resolution * largest  # the dtype may not have that number
        found = judge.compare({**J, name: wrong})
        assert found.outside >= int(moved.sum())


def test_slices_say_what_the_whole_says(monkeypatch):
    """A large problem is judged in other pieces, and by a glance at first."""
    model, x = example()
    judge = Judge(admit(model, x))
    J = jaccheck.jacobian(model, x)
    J["0.weight"] = J["0.weight"] * (1 + 1e-3)
    whole = judge.compare(J)
    monkeypatch.setattr("jaccheck.judging.judge.WHOLE", 0)
    for size in (1, 7, 100):
        monkeypatch.setattr("jaccheck.judging.judge.SLICE", size)
        sliced = judge.compare(J)
        assert (sliced.outside, sliced.vacuous, sliced.worst) == (whole.outside, whole.vacuous, whole.worst)


def test_an_overflow_is_counted_as_vacuous():
    model = nn.Linear(1, 1).half()
    nn.init.constant_(model.weight, 6e4)
    x = torch.full((1, 1), 2.0).half()
    report = jaccheck.check(nn.Sequential(model, nn.Linear(1, 1).half()), x, paths=["autograd"])
    verdict = report.verdicts["autograd"]
    assert verdict.vacuous > 0
    assert "vacuous" in str(report)


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ([torch.ones(2)], [], "different lengths, 1 and 0"),
        ([torch.ones(2)], [torch.ones(3)], r"index 0 have different sizes, \[2\] and \[3\]"),
        ([torch.ones(2), torch.ones(2)], [torch.ones(2), torch.zeros(2)], "index 1 have different values"),
    ],
)
def test_tensor_lists_that_differ(one, other, says):
    with pytest.raises(ValueError, match=says):
        jaccheck.compare_tensor_lists(one, other)


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ([torch.ones(2)], [None], "list2 has a NoneType at index 0, but should have a tensor"),
        (iter([torch.ones(2)]), [torch.ones(2)], "list1 is a list_iterator, but should be a list of tensors"),
        ([torch.ones(2)], torch.ones(1, 2), "list2 is a Tensor, but should be a list of tensors"),
        (None, [], "list1 is a NoneType"),
    ],
)
def test_what_is_no_list_of_tensors_is_refused_in_words(one, other, says):
    with pytest.raises(ValueError, match=says):
        jaccheck.compare_tensor_lists(one, other)


def test_tensor_lists_that_agree():
    jaccheck.compare_tensor_lists([torch.ones(2), torch.tensor(torch.nan)], [torch.ones(2), torch.tensor(torch.nan)])
