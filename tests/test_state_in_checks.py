"""What a check says of changes, and puts back: a path's are its fault, the model's own aren't."""

from __future__ import annotations

import random

import pytest
import torch
from backpack import extend
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jaccheck import check, jacobian, register_path
from jaccheck.paths import unregister_path
from jaccheck.properties import PROPERTIES
from tests.planted import doubled, planted, right


def test_what_a_models_own_forward_changes_is_not_a_paths_fault() -> None:
    class Counting(nn.Linear):
        calls: list[int]

        def forward(self, a: Tensor) -> Tensor:
            self.calls.append(len(a))
            torch.rand(1)
            return super().forward(a)

    model = Counting(2, 2)
    model.calls = []
    report = check(model, torch.ones(3, 2), paths="all", properties=("state", "determinism"))
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees", "unsupported"}
    assert model.calls == []

    class Leaving:
        name = "leaving"

        def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
            random.random()
            return jacobian(model, x)

    register_path(Leaving())
    try:
        verdict = check(model, torch.ones(3, 2), paths=("leaving",)).verdicts["leaving"]
    finally:
        unregister_path("leaving")
    assert verdict.reason == "Python's random state has changed"


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("how", ["whole", "view", "view without gradients"])
def test_an_input_written_to_in_the_middle_of_a_graph_is_put_back(how, graph, requires_grad):
    """Torch won't even say of the view whether it is a leaf."""
    base = torch.randn(3, 4)
    with torch.set_grad_enabled(how == "view"):
        x = base if how == "whole" else base.t()
    before = x.detach().clone()
    x.requires_grad_(requires_grad)

    def writing(model, x, J):
        with torch.enable_grad():
            base = x.detach() if x.requires_grad and x._base is None else x if x._base is None else x._base
            base.mul_(next(model.parameters()).sum() if graph else 2.0)
        return J

    model = nn.Linear(x.shape[1], 2)
    with planted(writing) as path:
        report = check(model, x, paths=(path, "autograd"))
    assert (report.verdicts[path].kind, report.verdicts["autograd"].status) == ("state", "agrees")
    assert torch.equal(x, before)
    assert x.is_leaf or how == "view"
    assert x.requires_grad == requires_grad
    assert x.grad is None


def keeping(model: nn.Module) -> nn.Module:
    """What its user's hooks see of gradients, and of values when there are gradients, is kept."""
    first = model[0]
    first.seen, first.kept = [], None

    def keep(module: nn.Module, args: object, output: Tensor) -> None:
        if torch.is_grad_enabled():
            module.kept = output

    first.register_forward_hook(keep)
    first.weight.register_hook(lambda g: first.seen.append(g.norm()))
    return model


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_what_a_models_own_hooks_do_once_there_are_gradients_is_not_a_paths_fault() -> None:
    model = keeping(nn.Sequential(nn.Linear(2, 2)))
    report = check(model, torch.ones(3, 2), paths=("autograd", "batch_grad"))
    assert report.ok, report
    assert (model[0].seen, model[0].kept) == ([], None)


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_a_path_of_ones_own_may_go_through_a_model_that_backpack_has_extended() -> None:
    class Plain:
        name = "plain"

        def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
            parameters = dict(model.named_parameters())
            rows = [torch.autograd.grad(y, [*parameters.values()], retain_graph=True) for y in model(x).flatten()]
            return {
                name: torch.stack(j).view(len(x), -1, *j[0].shape)
                for name, j in zip(parameters, zip(*rows, strict=True), strict=True)
            }

    model = extend(nn.Sequential(nn.Linear(2, 2)))
    model(torch.ones(3, 2))
    register_path(Plain())
    try:
        assert check(model, torch.ones(3, 2), paths=("plain",)).ok
    finally:
        unregister_path("plain")


def test_a_method_written_in_c_that_a_path_replaces_is_named_and_put_back() -> None:
    before = Tensor.__abs__

    def replacing(model, x, J):
        Tensor.__abs__ = lambda t: t
        return J

    with planted(replacing) as path:
        verdict = check(nn.Linear(2, 2), torch.ones(3, 2), paths=(path,)).verdicts[path]
    assert Tensor.__abs__ is before
    assert verdict.reason is not None
    assert verdict.reason.startswith(f"torch.Tensor.__abs__: {before.__qualname__} -> ")


class Recounting(nn.Module):
    """`torch.fx` runs its forward on the very buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, a: Tensor) -> Tensor:
        self.calls += 1
        return torch.tanh(self.layer(a))


@pytest.mark.parametrize("law", PROPERTIES)
@pytest.mark.parametrize("wrong", [False, True])
def test_what_the_models_own_forward_changes_is_put_back_whatever_is_asked(law: str, wrong: bool) -> None:
    model = Recounting()
    with planted(doubled if wrong else right, base="autograd") as path:
        check(model, torch.ones(3, 2), paths=(path,), properties=[law])
    assert model.calls == 0


def test_what_a_path_leaves_behind_is_put_back_where_it_is_asked_again_what_its_error_looks_like() -> None:
    calls: dict[nn.Module, int] = {}

    def accumulating(model, x, J):
        calls[model] = calls.get(model, 0) + 1
        torch.set_warn_always(True)
        return {name: calls[model] * j for name, j in J.items()}

    with planted(accumulating, base="autograd") as path:
        report = check(nn.Linear(2, 2), torch.ones(3, 2), paths=(path,), properties=["sequence:again"])
    assert report.verdicts[path].error_shape == "accumulates over calls"
    assert not torch.is_warn_always_enabled()


def test_a_checkpoint_does_not_keep_another_default_device() -> None:
    class Checkpointed(nn.Linear):
        def forward(self, a: Tensor) -> Tensor:
            return checkpoint(super().forward, a, use_reentrant=False)

    model, x, before = Checkpointed(2, 2), torch.ones(1, 2), torch.utils._device.CURRENT_DEVICE
    assert check(model, x, paths=("autograd",), properties=("sequence:default_device",)).ok
    assert torch.utils._device.CURRENT_DEVICE is before
