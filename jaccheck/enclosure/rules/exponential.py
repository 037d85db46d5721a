"""The exponential function and the natural logarithm."""

from __future__ import annotations

from math import inf

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


@rule(torch.exp, "exp")
def exp(input: Wire) -> Elementwise:
    return Elementwise(EXP)


@rule(torch.log, "log")
def log(input: Wire) -> Elementwise:
    return Elementwise(LOG)
