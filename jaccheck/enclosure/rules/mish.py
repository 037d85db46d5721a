"""t tanh(log(1 + eᵗ))."""

from __future__ import annotations

from torch import Tensor, exp, log1p, nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.sigmoid import logistic
from jaccheck.enclosure.rules.tanh import hyperbolic_tangent, squared_sech


def _softplus(t: Tensor) -> Tensor:
    return t.clamp(min=0) + log1p(exp(-t.abs()))


MISH = Activation(
    value=lambda t: t * hyperbolic_tangent(_softplus(t)),
    slope=lambda t: hyperbolic_tangent(_softplus(t)) + t * logistic(t) * squared_sech(_softplus(t)),
    value_error=3 * FUNCTION + 5,  # exp, log1p and tanh, of which none magnifies the error
    # as T + t σ (1 - T²): T as above, and 1 - T² in absolute terms
    slope_error=lambda t, a, s: (3 * FUNCTION + 5) * (1 + 2 * t.mag * logistic(t.high)),
    max_curvature=1.0,  # 0.64 at 0
    underflow=lambda t: 4 + 4 * t.mag,  # exp, log1p, tanh and σ, times t
    at_infinity=False,
)


@rule(nn.Mish, F.mish, "mish")
def mish(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(MISH)
