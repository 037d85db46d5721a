"""t tanh(log(1 + eᵗ))."""

from __future__ import annotations

from torch import Tensor, exp, log1p, nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise, Span
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.sigmoid import logistic
from jaccheck.enclosure.rules.tanh import hyperbolic_tangent, squared_sech


def _softplus(t: Tensor) -> Tensor:
    return t.clamp(min=0) + log1p(exp(-t.abs()))


def curvature(t: Span) -> Tensor:
    """Of ``φ'' = 2 T' + t T''``, with ``T' = σ (1 - T²)`` and ``T'' = (1 - T²) (σ (1 - σ) - 2 T σ²)``.

    Below 0, σ is at most exp(t), and so are |T'| and |T''|; above it they are at most 1 - T² and twice that, and
    ``(2 + 2t) (1 - T²) <= 0.93 (2 + t) exp(-t)``. Nowhere is it more than φ''(0) = 0.64.
    """
    return ((2 + t.least) * exp(-t.least)).clamp(max=1.0)


MISH = Activation(
    value=lambda t: t * hyperbolic_tangent(_softplus(t)),
    slope=lambda t: hyperbolic_tangent(_softplus(t)) + t * logistic(t) * squared_sech(_softplus(t)),
    value_error=3 * FUNCTION + 5,  # exp, log1p and tanh, of which none magnifies the error
    # as T + t σ (1 - T²): T as above, at most 2σ, and 1 - T² in absolute terms
    slope_error=lambda t, a, s: (3 * FUNCTION + 5) * 2 * logistic(t.high) * (1 + t.mag),
    max_curvature=curvature,
    floor=1024.0,  # as for SiLU: σ is 0 where exp(-t) overflows
    underflow=lambda t: 4 + 4 * t.mag,  # exp, log1p, tanh and σ, times t
    at_infinity=False,
)


@rule(nn.Mish, F.mish, "mish")
def mish(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(MISH)
