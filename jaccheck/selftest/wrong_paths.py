"""Faults in a path: one that is right, but for something on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from jaccheck.paths import get, register_path, unregister_path
from jaccheck.selftest.fault import BASE, Fault

Jacobian = dict[str, Tensor]
Compute = Callable[[nn.Module, Tensor], Jacobian]


@dataclass(frozen=True)
class At:
    """Where an alteration takes place: one parameter's Jacobian of one call."""

    model: nn.Module
    x: Tensor
    J: Jacobian  # right, of all parameters
    name: str

    @property
    def N(self) -> int:
        return len(self.x)

    @property
    def C(self) -> int:
        return self.J[self.name].shape[1]

    @property
    def shape(self) -> torch.Size:
        """Of the parameter."""
        return self.J[self.name].shape[2:]

    @property
    def dtype(self) -> torch.dtype:
        return self.x.dtype

    @property
    def place(self) -> int:
        """The parameter's number, from 0."""
        return list(self.J).index(self.name)

    @property
    def last(self) -> bool:
        return self.place == len(self.J) - 1

    @property
    def bias(self) -> bool:
        return len(self.shape) == 1


@dataclass(frozen=True)
class WrongPath:
    """A path that isn't right."""

    name: str
    compute: Compute

    def jacobian(self, model: nn.Module, x: Tensor) -> Jacobian:
        return self.compute(model, x)


def right(model: nn.Module, x: Tensor) -> Jacobian:
    """What the wrong paths begin with."""
    return get(BASE).jacobian(model, x)


def made(
    name: str, words: str, make: Callable[[], Compute], equivalent: str | None = None, *, base: str = BASE
) -> Fault:
    """The path that `make` gives, anew each time, so that it begins without memory."""
    return Fault(name, words, partial(_registered, name, make), (name,), equivalent, base)


def computed(name: str, words: str, compute: Compute, equivalent: str | None = None) -> Fault:
    """The path that does `compute`."""
    return made(name, words, lambda: compute, equivalent)


def altered(
    name: str,
    words: str,
    alter: Callable[[Tensor, At], Tensor],
    when: Callable[[At], bool] = lambda at: True,
    equivalent: str | None = None,
) -> Fault:
    """The path that gives each parameter's right Jacobian ``[N, C, *p.shape]``, altered `when` it says so."""

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        every = {key: At(model, x, J, key) for key in J}
        return {key: alter(j, every[key]) if j.numel() and when(every[key]) else j for key, j in J.items()}

    return computed(name, words, compute, equivalent)


@contextmanager
def _registered(name: str, make: Callable[[], Compute]) -> Iterator[None]:
    register_path(WrongPath(name, make()))
    try:
        yield
    finally:
        unregister_path(name)
