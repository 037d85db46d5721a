"""Powers with a constant exponent, the square root and its reciprocal."""

from __future__ import annotations

import operator
from dataclasses import replace
from math import inf

import torch

from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

POW = 2 * FUNCTION  # 4 ulp, which CUDA's manual states for powf
SQRT = Activation(
    value=torch.sqrt,
    slope=lambda t: 0.5 / t.sqrt(),
    value_error=1,
    slope_error=POW + 1,  # as 1 / (2 √t), or as t^(-1/2) / 2
    max_curvature=lambda t: torch.where(t.low > 0, 0.25 * t.low**-1.5, inf),
    exact_where=lambda t: t == 1,
)
RSQRT = Activation(
    value=torch.rsqrt,
    slope=lambda t: -0.5 * t**-1.5,
    value_error=FUNCTION,
    slope_error=3 * FUNCTION + POW + 2,  # as -(φ³) / 2, with φ as it was rounded
    max_curvature=lambda t: torch.where(t.low > 0, 0.75 * t.low**-2.5, inf),
    losses=lambda t: 3 + torch.where(t.low > 0, t.low**-1.5, inf),  # D / 2, times φ³
    factor=lambda t: torch.where(t.low > 0, t.low**-1.5, inf),
    exact_where=lambda t: t == 1,
    at_infinity=False,
)


def natural(n: int) -> Activation:
    """t^n. Small powers are products one by one, each of which rounds, and may underflow before it is multiplied."""
    return Activation(
        value=lambda t: t**n,
        slope=lambda t: n * t ** (n - 1),
        value_error=POW,
        slope_error=POW + 1,
        max_curvature=lambda t: n * (n - 1) * t.mag ** max(n - 2, 0),
        underflow=lambda t: 4 * n * (1 + t.mag),  # two products for t^(n-1), or a function, then n and t times that
    )


@rule(operator.pow, torch.pow, "pow", operator.ipow)
def power(input: Wire, exponent: float) -> Elementwise:
    if isinstance(input, Wire) and exponent == 0.5:
        return Elementwise(replace(SQRT, at_infinity=False))  # pow(-∞, 1/2) is ∞, and √-∞ is none
    if isinstance(input, Wire) and exponent == -0.5:  # whose slope is a power, rounded less than one of three factors
        return Elementwise(RSQRT)
    if not isinstance(input, Wire) or not isinstance(exponent, (int, float)) or exponent not in range(1, 65):
        raise Unsupported("no enclosure for a power, unless its exponent is 1/2, -1/2 or a number from 1 to 64")
    return Elementwise(natural(int(exponent)))


@rule(torch.sqrt, "sqrt")
def sqrt(input: Wire) -> Elementwise:
    return Elementwise(SQRT)


@rule(torch.rsqrt, "rsqrt")
def rsqrt(input: Wire) -> Elementwise:
    return Elementwise(RSQRT)


@rule(torch.square, "square")
def square(input: Wire) -> Elementwise:
    return Elementwise(natural(2))
