"""A path leaves the user's model, and everything global, as it was; also where it fails."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest
import torch
from backpack import backpack, disable, extend, extensions
from backpack.context import CTX
from hand_derived import Raising, mlp, mlp_jacobian
from test_path_values import assert_is
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck._state import Snapshot
from jaccheck.paths import Path, get, jacobian, paths


def used(model: nn.Module, x: Tensor) -> nn.Module:
    """A training step's traces: gradients, and hooks of all kinds that do nothing."""
    model(x).sum().backward()
    model[0].register_forward_hook(lambda *_: None)
    model[0].register_forward_pre_hook(lambda *_: None)
    model[2].weight.register_hook(lambda g: None)
    model[2].notes = ["mine"]
    model[0].weight.note = "mine"
    return model


def extended(model: nn.Module, x: Tensor) -> nn.Module:
    """Extended by the user, with BackPACK's results and the layers' inputs and outputs still there."""
    extend(model)
    f = model(x)
    with backpack(extensions.BatchGrad(), extensions.SqrtGGNExact(), retain_graph=True):
        extend(nn.MSELoss(reduction="sum"))(f, torch.zeros_like(f)).backward(retain_graph=True)
    assert hasattr(model[0], "input0")
    assert hasattr(model[0].weight, "grad_batch")
    return model


def extended_then_frozen(model: nn.Module, x: Tensor) -> nn.Module:
    extended(model, x)
    model[0].weight.requires_grad_(False)
    return model


def evaluating(model: nn.Module, x: Tensor) -> nn.Module:
    return model.eval()


def frozen(model: nn.Module, x: Tensor) -> nn.Module:
    model[0].weight.requires_grad_(False)
    return model


class Counting(nn.Module):
    """Counts its calls, in an attribute and in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        return x


def counting(model: nn.Module, x: Tensor) -> nn.Module:
    return nn.Sequential(model, Counting())


def shared(model: nn.Module, x: Tensor) -> nn.Module:
    """torch's functional_call leaves a plain tensor in place of a parameter of such a layer."""
    layer = nn.Linear(3, 3).double()
    return nn.Sequential(layer, nn.Tanh(), layer)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("prepare", [used, extended, extended_then_frozen, evaluating, frozen, counting, shared])
def test_nothing_has_changed(path: Path, prepare: Callable[[nn.Module, Tensor], nn.Module]) -> None:
    model, x = mlp()
    model = prepare(model, x)
    x.requires_grad_()
    x.grad = torch.ones_like(x)
    before = Snapshot.take(model, x)
    try:
        path.jacobian(model, x)
    except Unsupported:
        assert prepare in (extended, extended_then_frozen, counting, shared)
    assert before.undone() == []


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("extended", [False, True])
def test_nothing_has_changed_after_an_exception(path: Path, where: str, extended: bool) -> None:
    raising = Raising()
    model = nn.Sequential(nn.Linear(3, 3), raising, nn.Linear(3, 2))
    if extended:
        extend(model)
    x = torch.randn(4, 3)
    before = Snapshot.take(model, x)
    raising.armed = where
    try:
        path.jacobian(model, x)
    except (LookupError, Unsupported):
        pass
    else:
        assert path.name.startswith("vmap") or path.name == "curvlinops"
        assert where == "backward"  # torch.func calls no hooks of tensors
    raising.armed = ""
    assert before.undone() == []
    if path.name.startswith("sqrt_ggn_exact") or (path.name in ("vmap_jacrev", "curvlinops") and extended):
        return  # BackPACK has no rule for the layer; torch.func and full backward hooks don't go together
    fresh = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    fresh.load_state_dict({name.replace("2.", "1."): p for name, p in model.state_dict().items()})
    expected = path.jacobian(fresh, x)
    assert all(torch.equal(j, expected[name.replace("2.", "1.")]) for name, j in path.jacobian(model, x).items())


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_an_extended_model_stays_extended(path: Path) -> None:
    model, x = mlp()
    extended(model, x)
    saved = {name: p.grad_batch.clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = None
    if path.name not in ("vmap_jacrev", "curvlinops"):
        assert_is(path.jacobian(model, x), mlp_jacobian(), path)
    assert all(torch.equal(p.grad_batch, saved[name]) for name, p in model.named_parameters())
    for p in model.parameters():
        del p.grad_batch
    with backpack(extensions.BatchGrad()):
        model(x).sum().backward()
    assert all(torch.equal(p.grad_batch.sum(0), p.grad) for p in model.parameters())


@pytest.mark.parametrize("name", ["batch_grad", "sqrt_ggn_exact"])
def test_what_the_user_has_set_in_backpack_makes_no_difference(name: str) -> None:
    path = get(name)
    model, x = mlp()
    extend(model)
    with disable():
        assert_is(path.jacobian(model, x), mlp_jacobian(), path)
    calls: list[nn.Module] = []
    with backpack(extensions.BatchL2Grad(), extension_hook=calls.append):
        before = Snapshot.take(model, x)
        assert_is(path.jacobian(model, x), mlp_jacobian(), path)
        assert before.undone() == []
    assert not calls
    assert not hasattr(model[0].weight, "batch_l2")
    CTX.remove_hooks()  # of all models; their flags stay
    assert_is(path.jacobian(model, x), mlp_jacobian(), path)
    assert not model[0]._forward_hooks
    assert model[0]._backpack_extend


@pytest.mark.parametrize("name", ["batch_grad", "sqrt_ggn_exact"])
def test_hooks_that_act_on_accumulated_gradients_are_not_called(name: str) -> None:
    model, x = mlp()

    def step(p: Tensor) -> None:
        raise AssertionError("an optimizer's step in the backward pass")

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(step)
    assert_is(get(name).jacobian(model, x), mlp_jacobian(), get(name))


def test_threads_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    names = ("batch_grad", "sqrt_ggn_exact")
    problems = [(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(5, 3)) for _ in names]
    expected = [get(name).jacobian(*problem) for name, problem in zip(names, problems, strict=True)]
    wrong: list[str] = []

    def work(i: int) -> None:
        for _ in range(20):
            J = get(names[i]).jacobian(*problems[i])
            if not all(torch.equal(J[name], expected[i][name]) for name in J):
                wrong.append(names[i])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(names))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert CTX.get_active_exts() == ()


def test_the_public_function_puts_back_what_a_third_partys_path_changes(third_party: Path) -> None:
    model, x = mlp()
    before = Snapshot.take(model, x)
    J = jacobian(model, x, third_party.name)
    assert before.undone() == []
    assert not J["0.weight"].requires_grad


@pytest.fixture
def third_party():  # type: ignore[no-untyped-def]
    from jaccheck.paths import register_path, unregister_path

    class Careless:
        name = "careless"

        def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
            with torch.no_grad():
                for p in model.parameters():
                    p += 1
            x.zero_()
            torch.rand(3)
            torch.set_num_threads(torch.get_num_threads() + 1)
            model.eval()
            sys.setrecursionlimit(sys.getrecursionlimit())
            return {name: p * 1 for name, p in model.named_parameters()}

    path = Careless()
    register_path(path)
    yield path
    unregister_path(path.name)


def test_the_table_of_paths_has_all_files() -> None:
    from pathlib import Path as File

    from jaccheck.paths import _path

    files = {file.stem for file in File(_path.__file__).parent.glob("*.py")}
    here = {name for name in files if not name.startswith("_")}
    assert set(paths()) <= here <= set(paths()) | {"curvlinops", "opacus"}  # whose packages may be missing
