"""t σ(t)."""

from __future__ import annotations

from torch import Tensor, exp, nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise, Span
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.sigmoid import logistic


def curvature(t: Span) -> Tensor:
    """Of ``φ'' = σ' (2 + t (1 - 2σ))``, where ``σ' <= exp(-|t|)``; no more than φ''(0)."""
    return ((2 + t.least) * exp(-t.least)).clamp(max=0.5)


SILU = Activation(
    value=lambda t: t * logistic(t),
    slope=lambda t: logistic(t) * (1 + t * logistic(-t)),
    value_error=FUNCTION + 4,
    # as σ (1 + t (1 - σ)): the error of σ is (FUNCTION + 2) u σ in each place, with six more roundings
    slope_error=lambda t, a, s: (FUNCTION + 8) * logistic(t.high) * (1 + t.mag),
    max_curvature=curvature,
    exact_where=lambda t: t == 0,
    floor=1024.0,  # |t| / exp(-t) where exp(-t) overflows: |t| / largest, and no more than |t| = 746 can give
    underflow=lambda t: 4 + 2 * t.mag,  # σ, times t
    losses=lambda t: 1 + t.mag,  # D σ, times 1 + t (1 - σ)
    at_infinity=False,
)


@rule(nn.SiLU, F.silu, "silu")
def silu(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(SILU)
