"""A model whose backward pass isn't that of its calls is nobody's fault; where it is, a wrong path is blamed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jaccheck import check, register_path
from jaccheck.judging import judge
from jaccheck.paths import get, unregister_path
from jaccheck.selftest.faults import bank
from tests.planted import doubled, planted


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class OwnFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return Doubling.apply(self.inner(x))


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            a = self.inner(x)
        return self.head(a.relu())


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def with_parameter_hook() -> nn.Module:
    model = mlp()
    model[0].weight.register_hook(lambda g: 2 * g)
    return model


def with_backward_hook() -> nn.Module:
    model = mlp()
    model[2].register_full_backward_hook(lambda module, inputs, outputs: (2 * inputs[0],))
    return model


def with_harmless_hooks() -> nn.Module:
    model = mlp()
    model[0].weight.register_hook(lambda g: None)
    model[2].register_full_backward_hook(lambda module, inputs, outputs: None)
    model[1].register_forward_hook(lambda module, inputs, output: None)
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (with_parameter_hook, "'0.weight' has a gradient hook"),
        (with_backward_hook, "'2' (Linear) has a backward hook"),
        (OwnFunction, "Doubling has a backward of its own"),
        (Cut, "'inner.weight' is used where gradients are switched off"),
    ],
)
def test_the_models_own_doing_accuses_no_path_and_is_said(make, reason):
    torch.manual_seed(0)
    model, x = make(), torch.randn(4, 3)
    report = check(model, x, paths="all")
    assert report.ok
    assert report.verdicts["autograd"].status == "vacuous"
    assert "the model's backward pass isn't that of its calls" in report.verdicts["autograd"].reason
    assert reason in report.verdicts["autograd"].reason


@pytest.mark.parametrize("make", [mlp, with_harmless_hooks])
def test_a_wrong_path_is_blamed_whatever_hooks_there_are(make):
    torch.manual_seed(0)
    with planted(doubled, base="autograd") as path:
        verdict = check(make(), torch.randn(4, 3), paths=[path]).verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "value")


@pytest.mark.parametrize("property", ["exact", "batching", "layout"])
def test_other_properties_blame_no_path_either(property):
    model = nn.Sequential(nn.Linear(3, 2))
    for p in model.parameters():
        nn.init.ones_(p)
    model[0].weight.register_hook(lambda g: 2 * g)
    report = check(model, torch.ones(2, 3), paths=["autograd"], properties=[property])
    assert report.ok
    assert report.verdicts["autograd"].status == "vacuous"


def test_a_wrong_derivative_of_torchs_own_layers_is_no_ones_hook(monkeypatch):
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, z: Doubling.apply(torch.tanh(z)))
    torch.manual_seed(0)
    verdict = check(mlp(), torch.randn(4, 3), paths=["autograd"]).verdicts["autograd"]
    assert (verdict.status, verdict.kind) == ("disagrees", "value")


def test_a_second_gradient_that_is_otherwise_is_no_reason(monkeypatch):
    """A fault that comes and goes in torch.autograd.grad itself looks like a difference, and is none of the model's."""
    right, calls = torch.autograd.grad, []

    def every_other(*args, **kwargs):
        calls.append(1)
        return tuple(g if g is None or len(calls) % 3 else 2 * g for g in right(*args, **kwargs))

    monkeypatch.setattr(torch.autograd, "grad", every_other)
    torch.manual_seed(0)
    assert check(mlp(), torch.randn(4, 3), paths=["autograd"]).verdicts["autograd"].status == "disagrees"


def test_a_fault_of_torch_s_own_for_parameters_is_no_doing_of_the_model():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    with bank()["everywhere_weights_transposed"].inject():
        report = check(model, torch.randn(4, 3))
    assert [verdict.status for verdict in report.verdicts.values()] == ["disagrees"] * 3


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_it_is_said_of_a_sample_beside_one_that_is_not_finite_too(value):
    torch.manual_seed(0)
    model, x = with_parameter_hook(), torch.randn(4, 3)
    x[3, 0] = value

    class OneByOne:
        name = "one_by_one"

        def jacobian(self, model, x):
            parts = [get("autograd").jacobian(model, x[n : n + 1]) for n in range(len(x))]
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    register_path(OneByOne())
    try:
        verdict = check(model, x, paths=("one_by_one",)).verdicts["one_by_one"]
    finally:
        unregister_path("one_by_one")
    assert (verdict.status, "'0.weight' has a gradient hook" in verdict.reason) == ("vacuous", True)


def test_where_nothing_is_known_of_a_path_the_report_says_how_far_it_is_from_the_others():
    report = check(with_parameter_hook(), torch.ones(1, 3), paths=("autograd", "vmap_jacrev"))
    assert [verdict.status for verdict in report.verdicts.values()] == ["vacuous", "agrees"]
    assert report.verdicts["autograd"].difference > 0.1
    assert "with differences of up to" in str(report)


@pytest.mark.parametrize("make", [with_parameter_hook, with_backward_hook, Cut])
def test_the_models_own_doing_excuses_no_other_element(make):
    """A path of zeros is wrong in what is behind the hooks, too."""
    with planted(lambda model, x, J: {name: 0 * j for name, j in J.items()}, base="autograd") as path:
        verdict = check(make(), torch.ones(2, 3), paths=[path]).verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "value")


def test_nor_one_in_another_row_than_the_worst():
    def a_little_more(model, x, J):
        J["0.bias"][1, 1] *= 1.001
        return J

    with planted(a_little_more, base="autograd") as path:
        verdict = check(with_parameter_hook(), torch.ones(2, 3), paths=[path]).verdicts[path]
    assert (verdict.status, verdict.kind, verdict.parameter) == ("disagrees", "value", "0.bias")
    assert verdict.index[:2] == (1, 1)
    assert verdict.outside == 4


def test_nor_another_element_of_the_worst_row_however_few_rows_are_asked(monkeypatch):
    def a_little_more(model, x, J):
        J["0.weight"][1, 1] *= 1.001
        J["0.bias"][1, 1] *= 1.5  # which the hook excuses
        return J

    monkeypatch.setattr(judge, "ROWS", 2)
    with planted(a_little_more, base="autograd") as path:
        verdict = check(with_parameter_hook(), torch.ones(4, 3), paths=[path]).verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "value")
    assert verdict.index[:2] == (1, 1)
