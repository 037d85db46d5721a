"""The exponential function and the natural logarithm, their forms near 0, and the error function."""

from __future__ import annotations

from math import inf, pi, sqrt

import torch

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

LN2 = 0.6931471805599453
EXP = Activation(
    value=torch.exp,
    slope=torch.exp,
    value_error=FUNCTION,
    slope_error=FUNCTION,
    max_curvature=lambda t: t.high.exp(),
    exact_where=lambda t: t == 0,
)
LOG = Activation(
    value=torch.log,
    slope=torch.reciprocal,
    value_error=FUNCTION,
    slope_error=2,
    max_curvature=lambda t: torch.where(t.low > 0, t.low**-2, inf),
    exact_where=lambda t: t == 1,
)

EXP2 = Activation(
    value=torch.exp2,
    slope=lambda t: LN2 * torch.exp2(t),
    value_error=FUNCTION,
    slope_error=FUNCTION + 3,  # log 2, and two products
    max_curvature=lambda t: LN2**2 * t.high.exp2(),
    factor=lambda t: t.high.exp2(),  # D φ, times log 2
)
LOG2 = Activation(
    value=torch.log2,
    slope=lambda t: 1 / (LN2 * t),
    value_error=FUNCTION,
    slope_error=4,  # log 2, a product and a quotient
    max_curvature=lambda t: torch.where(t.low > 0, t.low**-2 / LN2, inf),
    # as 1 / (t log 2): the product is 2 η off where it underflows, for log 2 isn't below 1/2, and the quotient 4 η / t²
    underflow=lambda t: 4 + torch.where(t.low > 0, 4 * t.low**-2, inf),
    at_infinity=False,
)

EXPM1 = Activation(
    value=torch.expm1,
    slope=torch.exp,
    value_error=FUNCTION,
    slope_error=lambda t, a, s: (FUNCTION + 2) * (a + 1),  # as φ + 1
    max_curvature=lambda t: t.high.exp(),
    exact_where=lambda t: t == 0,
)
LOG1P = Activation(
    value=torch.log1p,
    slope=lambda t: 1 / (1 + t),
    value_error=FUNCTION,
    slope_error=3,
    max_curvature=lambda t: torch.where(t.low > -1, (1 + t.low) ** -2, inf),
    exact_where=lambda t: t == 0,
)
ERF = Activation(
    value=torch.erf,
    slope=lambda t: 2 / sqrt(pi) * torch.exp(-t.square()),
    value_error=FUNCTION,
    slope_error=lambda t, a, s: (FUNCTION + 4) * s + 1,  # t² φ' is below 1/2, and t² rounds once, or t twice
    max_curvature=1.0,
)


@rule(torch.exp, "exp")
def exp(input: Wire) -> Elementwise:
    return Elementwise(EXP)


@rule(torch.log, "log")
def log(input: Wire) -> Elementwise:
    return Elementwise(LOG)


@rule(torch.exp2, "exp2", torch.special.exp2)
def exp2(input: Wire) -> Elementwise:
    return Elementwise(EXP2)


@rule(torch.log2, "log2")
def log2(input: Wire) -> Elementwise:
    return Elementwise(LOG2)


@rule(torch.expm1, "expm1", "special_expm1")
def expm1(input: Wire) -> Elementwise:
    return Elementwise(EXPM1)


@rule(torch.log1p, "log1p", "special_log1p")
def log1p(input: Wire) -> Elementwise:
    return Elementwise(LOG1P)


@rule(torch.erf, "erf", "special_erf")
def erf(input: Wire) -> Elementwise:
    return Elementwise(ERF)
