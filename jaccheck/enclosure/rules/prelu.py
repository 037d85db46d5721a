"""t, or a parameter times t below 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.broadcast import summed_to


class PReLU(Elementwise):
    """``a = z`` above 0 and ``w z`` elsewhere, with one w or one for each channel: so that ``∂a/∂w = min(z, 0)``."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.alike = weight.numel() == 1

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        channels = self.weight.numel()
        if channels > 1 and z.centre.dim() < 2:
            raise Unsupported("no enclosure for a PReLU whose channels are the samples")
        self.kept = [channels, *[1] * (z.centre.dim() - 2)] if z.centre.dim() > 1 else []
        w = self.weight.detach().double().reshape(self.kept)
        size = w.abs()
        self.phi = Activation(
            value=lambda t: torch.where(t > 0, t, w * t),
            slope=lambda t: torch.where(t > 0, torch.ones_like(t), w.expand_as(t)),
            value_error=lambda t, a: t.not_positive * a,
            slope_error=lambda t, a, s: t.not_positive * size,
            kinks=((0.0, float((1 - w).abs().max()), 0.0),),
            exact_where=lambda t: t.isfinite(),
        )
        self.below = Ball(z.centre.clamp(max=0.0), torch.where(z.centre > z.radius, 0.0, z.radius))
        return super().forward(fl, z)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        J = summed_to(fl, fl.product(D, self.below.moved(lambda t: t[:, None])), self.kept)
        return ((self.weight, Direct(J.moved(lambda t: t.reshape(*t.shape[:2], *self.weight.shape)))),)


@rule(nn.PReLU, F.prelu, "prelu")
def prelu(wire: Wire, weight: Tensor) -> PReLU:
    if isinstance(weight, Wire):
        raise TypeError("a weight that depends on the input")
    return PReLU(weight)
