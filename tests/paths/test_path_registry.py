"""Paths by name, the built-in ones and others."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hand_derived import mlp, mlp_jacobian
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck.paths import (
    DEFAULT,
    extra_roundings,
    get,
    jacobian,
    mode,
    paths,
    register_path,
    resolve,
    unregister_path,
)
from jaccheck.paths.sqrt_ggn_exact import SqrtGGNExact


def nothing(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return {}


@pytest.fixture
def mine():  # type: ignore[no-untyped-def]
    path = SimpleNamespace(name="mine", jacobian=nothing)
    register_path(path)
    yield path
    unregister_path("mine")


def test_a_registered_path_takes_part(mine: SimpleNamespace) -> None:
    assert paths()[-1] == "mine"
    assert get("mine") is mine
    assert resolve("all") == paths()
    assert "mine" not in resolve(None)
    assert extra_roundings(mine) == 0
    assert mode(mine) == "reverse"
    assert jacobian(*mlp(), path="mine") == {}


def test_a_path_can_be_registered_once(mine: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="'mine' is there already"):
        register_path(mine)
    unregister_path("mine")
    with pytest.raises(InvalidProblem, match="no path 'mine' has been registered"):
        unregister_path("mine")
    register_path(mine)


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        (SimpleNamespace(name="autograd", jacobian=nothing), ValueError, "'autograd' is there already"),
        (SimpleNamespace(name="all", jacobian=nothing), ValueError, "'all' is there already"),
        (SimpleNamespace(name="", jacobian=nothing), ValueError, "is empty"),
        (SimpleNamespace(name=" ", jacobian=nothing), ValueError, "is empty"),
        (SimpleNamespace(name=3, jacobian=nothing), TypeError, "should be a str"),
        (SimpleNamespace(jacobian=nothing), TypeError, "should be a str"),
        (SimpleNamespace(name="mine"), TypeError, r"no method jacobian\(model, x\)"),
        (SimpleNamespace(name="mine", jacobian=3), TypeError, r"no method jacobian\(model, x\)"),
        (SimpleNamespace(name="mine", jacobian=nothing, mode="sideways"), ValueError, "should be 'reverse' or"),
        (
            SimpleNamespace(name="mine", jacobian=nothing, extra_roundings=-6),
            ValueError,
            "are -6, but should be an int",
        ),
        (SimpleNamespace(name="mine", jacobian=nothing, extra_roundings="six"), ValueError, "are 'six', but should be"),
        (SimpleNamespace(name="mine", jacobian=nothing, extra_roundings=0.5), ValueError, "are 0.5, but should be"),
        (SqrtGGNExact, TypeError, r"register an instance, SqrtGGNExact\(\)"),
    ],
)
def test_a_path_that_is_none_is_refused(path: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        register_path(path)  # type: ignore[arg-type]
    assert "mine" not in paths()


def test_a_path_with_options_goes_under_its_own_name() -> None:
    path = SqrtGGNExact(reduction="mean")
    register_path(path)
    try:
        J = jacobian(*mlp(), path="sqrt_ggn_exact_mean")
    finally:
        unregister_path(path.name)
    assert all(torch.equal(J[name], j) for name, j in mlp_jacobian().items())
    with pytest.raises(ValueError, match="should be 'sum' or 'mean'"):
        SqrtGGNExact(reduction="none")  # type: ignore[arg-type]


def test_names_are_resolved() -> None:
    assert resolve(None) == DEFAULT == ("autograd", "batch_grad", "sqrt_ggn_exact")
    assert resolve("vmap_jacfwd") == ("vmap_jacfwd",)
    assert resolve(["batch_grad", "autograd", "batch_grad"]) == ("batch_grad", "autograd")
    assert mode(get("vmap_jacfwd")) == "forward"
    assert extra_roundings(get("sqrt_ggn_exact")) == 6
    with pytest.raises(InvalidProblem, match="did you mean 'batch_grad'"):
        resolve(["autograd", "batchgrad"])
    with pytest.raises(InvalidProblem, match="no path is named"):
        resolve([])
    with pytest.raises(InvalidProblem, match="no path is called 'nope', the paths are autograd, batch_grad"):
        jacobian(*mlp(), path="nope")


@pytest.mark.parametrize("name", ["autograd", "batch_grad", "sqrt_ggn_exact"])
def test_the_public_function_gives_the_jacobian(name: str) -> None:
    J = jacobian(*mlp(), path=name)
    assert {name: j.shape for name, j in J.items()} == {name: j.shape for name, j in mlp_jacobian().items()}


def test_what_is_no_dict_of_tensors_is_named() -> None:
    register_path(SimpleNamespace(name="listing", jacobian=lambda model, x: [x]))
    try:
        with pytest.raises(TypeError, match="path 'listing' returned a list, but should return a dict"):
            jacobian(*mlp(), path="listing")
    finally:
        unregister_path("listing")
    register_path(SimpleNamespace(name="half", jacobian=lambda model, x: {"0.weight": x, "0.bias": None}))
    try:
        with pytest.raises(
            TypeError, match=r"path 'half' returned a NoneType for '0.bias', but should return a tensor"
        ):
            jacobian(*mlp(), path="half")
    finally:
        unregister_path("half")


@pytest.mark.long
def test_backpack_is_loaded_when_one_of_its_paths_is_asked_for_and_where_it_is_absent_they_say_so() -> None:
    program = """
import sys
import torch
from jaccheck._errors import Unsupported
from jaccheck.paths import get, jacobian
model, x = torch.nn.Linear(2, 1), torch.ones(1, 2)
assert jacobian(model, x)
assert "backpack" not in sys.modules
sys.modules["backpack"] = None
try:
    jacobian(model, x, "batch_grad")
except Unsupported as error:
    assert str(error) == "this path needs backpack, which is not installed: pip install backpack-for-pytorch", error
else:
    raise AssertionError
del sys.modules["backpack"]
get("batch_grad")
assert "backpack" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unsupported_comes_through() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.GELU())
    with pytest.raises(Unsupported, match=r"'1' \(GELU\)"):
        jacobian(model, torch.ones(1, 3), "sqrt_ggn_exact")
