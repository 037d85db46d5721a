"""The mean and variance of each sample's numbers along some axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up


class Moments:
    """``m = Σ z / n`` and ``v = Σ (z - m)² / n``; or about 0 instead of m."""

    def __init__(self, fl: Arithmetic, z: Ball, axes: Sequence[int], *, about_mean: bool = True) -> None:
        self.axes, self.n = tuple(axes), torch.Size(z.shape[axis] for axis in axes).numel()
        size = z.mag
        mean = self.mean(z.centre) if about_mean else torch.zeros_like(self.mean(z.centre))
        off = self.mean(z.radius) + fl.gamma(self.n + 2) * self.mean(size) if about_mean else mean
        self.w = size + mean.abs() + off  # no less than |z| + |m|
        self.away = Ball(z.centre - mean, z.radius + off + fl.gamma(1) * self.w)
        distance, blur = self.away.centre.abs(), self.away.radius
        # Σ (z - m)² / n, or Σ z² / n - m². Either term is at most mean w², since 2 |m| mean |z| is; of m² the error is
        # twice that of m, n + 1 roundings, of the others n + 4. And η for the squares, the mean, m² and the difference.
        variance_off = up(self.mean((2 * distance + blur) * blur + 2 * fl.gamma(self.n + 6) * self.w.square()))
        self.variance = Ball(self.mean(self.away.centre.square()), variance_off + 8 * fl.eta)
        # the largest on the way: a sum of squares, in the precision of moments
        self.known = self.n * self.w.square().amax(self.axes, keepdim=True) < fl.opmath_largest

    def mean(self, t: Tensor) -> Tensor:
        return t.mean(self.axes, keepdim=True)
