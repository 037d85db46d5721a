"""The exponential function and the natural logarithm, their forms near 0, and the error function."""

from __future__ import annotations

from math import inf, pi, sqrt

import torch

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

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


@rule(torch.expm1, "expm1", "special_expm1")
def expm1(input: Wire) -> Elementwise:
    return Elementwise(EXPM1)


@rule(torch.log1p, "log1p", "special_log1p")
def log1p(input: Wire) -> Elementwise:
    return Elementwise(LOG1P)


@rule(torch.erf, "erf", "special_erf")
def erf(input: Wire) -> Elementwise:
    return Elementwise(ERF)
