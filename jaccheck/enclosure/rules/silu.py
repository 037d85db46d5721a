"""t σ(t)."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.sigmoid import logistic

SILU = Activation(
    value=lambda t: t * logistic(t),
    slope=lambda t: logistic(t) * (1 + t * logistic(-t)),
    value_error=FUNCTION + 4,
    # as σ (1 + t (1 - σ)): the error of σ is (FUNCTION + 2) u σ in each place, with six more roundings
    slope_error=lambda t, a, s: (FUNCTION + 8) * logistic(t.high) * (1 + t.mag),
    max_curvature=0.5,  # φ''(0)
    exact_where=lambda t: t == 0,
    floor=1024.0,  # |t| / exp(-t) where exp(-t) overflows: |t| / largest, and no more than |t| = 746 can give
    underflow=lambda t: 4 + 2 * t.mag,  # σ, times t
    losses=lambda t: 1 + t.mag,  # D σ, times 1 + t (1 - σ)
    at_infinity=False,
)


@rule(nn.SiLU, F.silu, "silu")
def silu(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(SILU)
