"""Defects that show as an exception."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from jaccheck._problem import Problem
from jaccheck.defects.conditions.sharing import retained
from jaccheck.defects.scene import hooked
from jaccheck.paths import Path
from jaccheck.paths._path import leaf


def raises(problem: Problem, path: Path, *, error: str, message: str, layer: str, where: str) -> bool:
    """Whether the path raises an `error` that says `message`, on a model with a `layer` for which `where` holds.

    Args:
        error: the name of the exception's class.
        message: a part of its words.
        layer: the name of a class of layers.
        where: a key of `WHERE`.
    """
    layers = [module for module in problem.model.modules() if type(module).__name__ == layer]
    if not layers or not WHERE[where](problem, layers):
        return False
    try:
        with problem.chance():
            path.jacobian(problem.model, problem.x)
    except Exception as raised:  # of whatever class: it is compared
        return type(raised).__name__ == error and message in str(raised)
    return False


def _no_samples(problem: Problem, layers: list[nn.Module]) -> bool:
    return problem.N == 0


def _drops_everything(problem: Problem, layers: list[nn.Module]) -> bool:
    return any(layer.training and getattr(layer, "p", 0) == 1 for layer in layers)


def _retains_its_gradient(problem: Problem, layers: list[nn.Module]) -> bool:
    found: list[Tensor] = []
    with retained(problem, layers, lambda output: found.append(output)):
        problem.model(problem.x.detach().requires_grad_())
    return bool(found)


def _retains_that_of_no_samples(problem: Problem, layers: list[nn.Module]) -> bool:
    found: list[bool] = []
    with hooked(layers, lambda module, args, output: found.append(output.retains_grad)):
        problem.model(leaf(problem.x))
    return problem.N == 0 and any(found)


WHERE: dict[str, Callable[[Problem, list[nn.Module]], bool]] = {
    "there are no samples": _no_samples,
    "it drops everything": _drops_everything,
    "there are no samples, and its output retains its gradient": _retains_that_of_no_samples,
    "its output is its input and retains its gradient": _retains_its_gradient,
}
