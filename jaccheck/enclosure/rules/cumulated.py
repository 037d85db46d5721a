"""Sums of all elements up to each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule, same_dtype
from jaccheck.enclosure.rules.copied import behind_the_batch


class Cumulated(NoParameters):
    """``z[k] = Σ a[i]`` over i <= k along one axis, so that ``∂f/∂a[i] = Σ D[k]`` over k >= i."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        (self.axis,) = behind_the_batch("a cumulative sum", [self.dim], a.centre.dim())
        self.n = a.shape[self.axis]
        return self._summed(fl, a, lambda t: t.cumsum(self.axis))

    @property
    def gain(self) -> float:
        return float(self.n)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        axis = self.axis + 1
        return (self._summed(fl, D, lambda t: t.flip(axis).cumsum(axis).flip(axis)),)

    def _summed(self, fl: Arithmetic, t: Ball, sums: Callable[[Tensor], Tensor]) -> Ball:
        """Each addition rounds, in the dtype or in a wider one."""
        mag = sums(t.mag)
        radius = up(torch.add(sums(t.radius), mag, alpha=fl.gamma(self.n)))
        return fl.within(fl.rounded(Ball(sums(t.centre), radius, None if t.reach is None else mag)), mag)


@rule(torch.cumsum, "cumsum")
def cumsum(input: Wire, dim: int, *, dtype: object = None) -> Cumulated:
    same_dtype("a cumulative sum", dtype)
    return Cumulated(dim)
