"""Paths that are wrong on purpose, and a way to have them for the time of a test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from jaccheck import paths
from jaccheck.paths import get, register_path, unregister_path

Jacobian = dict[str, Tensor]
Fault = Callable[[nn.Module, Tensor, Jacobian], Jacobian]


class Planted:
    """Another path, and then `fault`, which may change its result."""

    def __init__(self, fault: Fault, name: str = "planted", base: str = "vmap_jacrev") -> None:
        self.name, self.fault, self.base = name, fault, base

    def jacobian(self, model: nn.Module, x: Tensor) -> Jacobian:
        return self.fault(model, x, get(self.base).jacobian(model, x))


@contextmanager
def planted(fault: Fault, name: str = "planted", base: str = "vmap_jacrev") -> Iterator[str]:
    assert name not in paths()
    register_path(Planted(fault, name, base))
    try:
        yield name
    finally:
        unregister_path(name)


def doubled(model: nn.Module, x: Tensor, J: Jacobian) -> Jacobian:
    return {name: 2 * j for name, j in J.items()}


def doubled_behind_tanh(model: nn.Module, x: Tensor, J: Jacobian) -> Jacobian:
    return doubled(model, x, J) if any(isinstance(m, nn.Tanh) for m in model.modules()) else J


def raising_on_two_samples(model: nn.Module, x: Tensor, J: Jacobian) -> Jacobian:
    if len(x) > 1:
        raise ArithmeticError("two samples are too many")
    return J


def leaving_gradients(model: nn.Module, x: Tensor, J: Jacobian) -> Jacobian:
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    return J


def right(model: nn.Module, x: Tensor, J: Jacobian) -> Jacobian:
    return J
