"""Sums and means over feature axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule, same_dtype
from jaccheck.enclosure.rules.broadcast import summed_to


class Summed(NoParameters):
    """``z = Σ a`` over feature axes, or their mean, ``Σ a / n``."""

    def __init__(self, dim: int | Sequence[int] | None, keepdim: bool, mean: bool) -> None:
        if dim is None:
            raise Unsupported("no enclosure for a sum or mean over all axes, the batch's among them")
        self.dims = (dim,) if isinstance(dim, int) else tuple(dim)
        self.keepdim, self.mean = keepdim, mean

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        self.before = a.shape[1:]
        axes = sorted({d % a.centre.dim() for d in self.dims})
        if not axes or axes[0] == 0:
            raise Unsupported("no enclosure for a sum or mean over the batch axis")
        self.axes = axes
        self.kept = [1 if d + 1 in axes else size for d, size in enumerate(self.before)]
        self.n = math.prod(a.shape[axis] for axis in axes)
        # as a cotangent [N, 1, *features], whose sums `summed_to` has
        total = summed_to(fl, a.moved(lambda t: t[:, None]), self.kept).moved(lambda t: t[:, 0])
        total = self._divided(fl, total)
        return total if self.keepdim else total.moved(lambda t: t.squeeze(tuple(axes)))

    @property
    def gain(self) -> float:
        """Of the sum, also of a mean's before it is divided."""
        return float(self.n)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …] -> [N, C, *before]
        D = self._divided(fl, D.moved(lambda t: t.reshape(*t.shape[:2], *self.kept)))
        return (D.moved(lambda t: t.expand(*t.shape[:2], *self.before)),)

    def _divided(self, fl: Arithmetic, t: Ball) -> Ball:
        """A mean's: the reciprocal of n is rounded here, and n or the reciprocal there, and the product."""
        if not self.mean:
            return t
        reciprocal = torch.tensor(1 / self.n if self.n else math.nan, dtype=torch.float64, device=t.centre.device)
        return fl.product(t, Ball.exact(reciprocal), k=3)


@rule(torch.sum, "sum")
def sum_(input: Wire, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: object = None) -> Summed:
    same_dtype("a sum or mean", dtype)
    return Summed(dim, keepdim, mean=False)


@rule(torch.mean, "mean")
def mean(input: Wire, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: object = None) -> Summed:
    same_dtype("a sum or mean", dtype)
    return Summed(dim, keepdim, mean=True)
