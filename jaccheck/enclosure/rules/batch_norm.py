"""Batch normalization by statistics that are no longer updated: each channel scaled and shifted."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._activation import FUNCTION
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.broadcast import summed_to

INVERSE = FUNCTION + 3
"""Roundings of 1 / √(v + ε): ε as a number of the dtype, the sum, a function or a root and a quotient."""


class BatchNorm:
    """``a = s (z - m) γ + β`` for each channel, with constants m and ``s = 1 / √(v + ε)``: ``∂a/∂γ = s (z - m)``."""

    def __init__(self, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
        self.mean, self.weight, self.bias = mean, weight, bias
        self.variance = variance.detach().double() + eps

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:  # [N, K, …]
        if z.centre.dim() < 2:
            raise Unsupported("no enclosure for a batch normalization without a channel axis")
        self.kept = [len(self.mean), *[1] * (z.centre.dim() - 2)]
        variance = self._spread(self.variance)
        m, s = self._spread(self.mean), variance.rsqrt()  # nan, or inf, where v + ε isn't positive
        # What v + ε is off by relatively, besides its roundings, and half of it s, and a little more.
        blur = 2 * fl.eta / variance
        self.off = torch.where(blur < 0.5, fl.gamma(INVERSE) + blur, inf)
        gamma = torch.ones_like(s) if self.weight is None else self._spread(self.weight)
        beta = torch.zeros_like(s) if self.bias is None else self._spread(self.bias)
        scale = s * gamma
        # as ((z - m) s) γ + β, or as z (s γ) + (β - m (s γ)): with all terms' magnitudes, each rounds no more than this
        far = z.mag + m.abs()
        reach = far * scale.abs() + beta.abs()
        lost = fl.eta * (4 + far * (1 + gamma.abs()))
        radius = up(z.radius * scale.abs() + (fl.gamma(4) + self.off) * reach + lost)
        radius = torch.where(s.isfinite(), radius, inf)
        inverse = Ball(s, torch.where(s.isfinite(), up(self.off * s, 4 * fl.eta), inf))
        self.normalized = fl.within(fl.product(Ball(z.centre - m, z.radius + fl.gamma(1) * far), inverse), far)
        self.slope = fl.product(inverse, Ball.exact(gamma))
        self.s, self.gamma, self.far = s.abs(), gamma.abs(), far
        return fl.within(fl.rounded(Ball((z.centre - m) * scale + beta, radius)), reach + far * self.s)

    def _spread(self, t: Tensor) -> Tensor:
        """A number for each channel, broadcast against ``[N, K, …]``."""
        return t.detach().double().reshape(self.kept)

    @property
    def gain(self) -> float:
        """A tangent is multiplied by s and γ, in either order."""
        return float(torch.maximum(self.s, self.gamma).maximum(self.slope.mag).max()) if len(self.mean) else 0.0

    @property
    def tangent_loss(self) -> Tensor:
        """It underflows when it is multiplied by s or γ, and the other one multiplies that."""
        return torch.maximum(self.s, self.gamma)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, K, …]
        factors = self.s + self.gamma
        # D is multiplied by γ and s, in either order
        product = fl.product(D, self.slope, k=2, underflows=factors)
        return (fl.within(product, D.mag * factors),)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        found: list[tuple[Tensor, Jacobian]] = []
        if self.weight is not None:
            factors = self.s + self.far[:, None]
            terms = fl.product(D, self.normalized.moved(lambda t: t[:, None]), k=2, underflows=factors)
            found.append((self.weight, self._summed(fl, fl.within(terms, D.mag * factors))))
        if self.bias is not None:
            found.append((self.bias, self._summed(fl, D)))
        return tuple(found)

    def _summed(self, fl: Arithmetic, terms: Ball) -> Direct:
        return Direct(summed_to(fl, terms, self.kept).moved(lambda t: t.flatten(2)))


@rule(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, F.batch_norm)
def batch_norm(
    input: Wire,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> BatchNorm:
    if training or running_mean is None or running_var is None:
        raise Unsupported("no enclosure for a batch normalization that mixes samples")
    return BatchNorm(running_mean, running_var, weight, bias, eps)
