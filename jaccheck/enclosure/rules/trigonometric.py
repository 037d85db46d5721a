"""Sine and cosine."""

from __future__ import annotations

import torch

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

TRIGONOMETRIC = 2 * FUNCTION
"""Roundings: SLEEF's ``u35``, which torch takes for vectors, is 3.5 ulp off at most."""
SIN = Activation(
    value=torch.sin,
    slope=torch.cos,
    value_error=TRIGONOMETRIC,
    slope_error=TRIGONOMETRIC,
    max_curvature=1.0,
    exact_where=lambda t: t == 0,
)
COS = Activation(
    value=torch.cos,
    slope=lambda t: -torch.sin(t),
    value_error=TRIGONOMETRIC,
    slope_error=TRIGONOMETRIC,
    max_curvature=1.0,
    exact_where=lambda t: t == 0,
)


@rule(torch.sin, "sin")
def sin(input: Wire) -> Elementwise:
    return Elementwise(SIN)


@rule(torch.cos, "cos")
def cos(input: Wire) -> Elementwise:
    return Elementwise(COS)
