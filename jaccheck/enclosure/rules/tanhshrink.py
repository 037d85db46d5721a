"""t - tanh(t)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.tanh import MAX_CURVATURE, hyperbolic_tangent

TANHSHRINK = Activation(
    value=lambda t: t - hyperbolic_tangent(t),
    slope=lambda t: hyperbolic_tangent(t) ** 2,
    # the float64 formula here loses as much to cancellation as any other
    value_error=lambda t, a: (FUNCTION + 12) * t.mag.clamp(max=1) + 2 * a,
    slope_error=lambda t, a, s: torch.full_like(s, 2 * FUNCTION + 6),  # as 1 - (1 - tanh²)
    max_curvature=MAX_CURVATURE,
    exact_where=lambda t: t == 0,
    at_infinity=False,
)


@rule(nn.Tanhshrink, F.tanhshrink)
def tanhshrink(wire: Wire) -> Elementwise:
    return Elementwise(TANHSHRINK)
