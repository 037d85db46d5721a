"""|t|."""

from __future__ import annotations

import operator

import torch

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

ABSOLUTE = Activation(
    value=torch.abs,
    slope=torch.sgn,  # 0 at 0
    value_error=0,
    slope_error=0,
    kinks=((0.0, 2.0, 0.0),),
    exact=True,
    at_nan=False,
)


@rule(torch.abs, operator.abs, "abs", "absolute")
def absolute(input: Wire) -> Elementwise:
    return Elementwise(ABSOLUTE)
