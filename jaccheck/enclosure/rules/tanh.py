"""The hyperbolic tangent."""

from __future__ import annotations

from math import sqrt

from torch import Tensor, exp, expm1, nn, tanh
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


def hyperbolic_tangent(t: Tensor) -> Tensor:
    return expm1(-2 * t.abs()).neg() / (1 + exp(-2 * t.abs())) * t.sign()


def squared_sech(t: Tensor) -> Tensor:
    e = exp(-2 * t.abs())
    return 4 * e / (1 + e) ** 2


MAX_CURVATURE = 4 / (3 * sqrt(3))

TANH = Activation(
    value=hyperbolic_tangent,
    slope=squared_sech,
    value_error=lambda t, a: FUNCTION * a,
    slope_error=lambda t, a, s: (2 * FUNCTION + 2) * a * a + 2 * s,  # as 1 - a²
    max_curvature=MAX_CURVATURE,
    decay=2.0,  # φ'' = -2 a φ'
    exact_where=lambda t: t == 0,
)


@rule(nn.Tanh, F.tanh, tanh, "tanh")
def tanh_rule(wire: Wire) -> Elementwise:
    return Elementwise(TANH)
