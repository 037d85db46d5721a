"""Variances over feature axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._moments import Moments
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.broadcast import per_sample
from jaccheck.enclosure.rules.copied import behind_the_batch


class Variance(NoParameters):
    """``v = Σ (z - m)² / (n - c)``, so that ``∂v/∂z = 2 (z - m) / (n - c)``: what m adds is 0."""

    def __init__(self, dims: Sequence[int], correction: int, keepdim: bool) -> None:
        self.dims, self.correction, self.keepdim = dims, correction, keepdim

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        self.axes = behind_the_batch("a variance", self.dims, z.centre.dim())
        self.moments = Moments(fl, z, self.axes)
        self.n = self.moments.n
        if self.n <= self.correction:
            raise Unsupported("no enclosure for a variance of too few numbers")
        v, factor = self.moments.variance, self.n / (self.n - self.correction)
        radius = torch.where(self.moments.known, v.radius * factor, inf)
        value = fl.rounded(Ball(v.centre * factor, radius), 3)  # n - c or its reciprocal, and by it, not by n
        return value if self.keepdim else value.moved(lambda t: t.squeeze(tuple(self.axes)))

    @property
    def gain(self) -> float:
        """Of ``Σ 2 (z - m) τ / (n - c)``, and of that sum before it is divided."""
        return 2 * self.n * float(self.moments.w.max()) if self.moments.w.numel() else 1.0

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        if not self.keepdim:
            kept = [1 if d in self.axes else size for d, size in enumerate(self.moments.w.shape)][1:]
            D = D.moved(lambda t: t.reshape(*t.shape[:2], *kept))
        dim = D.centre.dim()
        factor = 2 / (self.n - self.correction)
        away, w = per_sample(self.moments.away, dim), per_sample(self.moments.w, dim)
        slope = Ball(away.centre * factor, away.radius * factor)
        # D is multiplied by 2 / (n - c), which is 2 at most and rounded, and by z - m, in either order; in forward mode
        # n products are summed
        product = fl.product(D, slope, k=self.n + 4, underflows=2 + w)
        return (fl.within(product, D.mag * (2 + self.n * w)),)


@rule(torch.var, "var")
def var(
    input: Wire,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Variance:
    if dim is None or isinstance(dim, bool):
        raise Unsupported("no enclosure for a variance over all axes, the batch's among them")
    correction = int(unbiased) if correction is None else correction
    if correction not in (0, 1):
        raise Unsupported("no enclosure for a variance unless it is divided by n or n - 1")
    return Variance([dim] if isinstance(dim, int) else list(dim), int(correction), keepdim)
