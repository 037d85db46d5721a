"""The hyperbolic tangent."""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn, tanh
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


def hyperbolic_tangent(t: Tensor) -> Tensor:
    """tanh t = ∓q / (q + 2) for q = exp(-2 |t|) - 1."""
    q = t.abs().mul_(-2).expm1_()
    return q.div_(q + 2).copysign_(t)


def squared_sech(t: Tensor) -> Tensor:
    """1 / cosh² t = 4 e / (1 + e)² for e = exp(-2 |t|)."""
    e = t.abs().mul_(-2).exp_()
    return e.div_((e + 1).square_()).mul_(4)


MAX_CURVATURE = 4 / (3 * sqrt(3))

TANH = Activation(
    value=hyperbolic_tangent,
    slope=squared_sech,
    value_error=FUNCTION,
    slope_error=lambda t, a, s: (2 * FUNCTION + 2) * a * a + 2 * s,  # as 1 - a²
    max_curvature=MAX_CURVATURE,
    decay=2.0,  # φ'' = -2 a φ'
    exact_where=lambda t: t == 0,
)


@rule(nn.Tanh, F.tanh, tanh, "tanh")
def tanh_rule(wire: Wire) -> Elementwise:
    return Elementwise(TANH)
