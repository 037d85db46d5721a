"""λ t, or λ α (eᵗ - 1) below 0, with the constants of Klambauer et al. 2017."""

from __future__ import annotations

import torch
from torch import exp, expm1, nn, selu
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

SCALE = 1.0507009873554804934193349852946  # λ
ALPHA = 1.6732632423543772848170429916717


@rule(nn.SELU, F.selu, selu, "selu")
def selu_rule(wire: Wire, inplace: bool = False) -> Elementwise:
    size = SCALE * ALPHA
    return Elementwise(
        Activation(
            value=lambda t: torch.where(t > 0, SCALE * t, size * expm1(t)),
            slope=lambda t: torch.where(t > 0, SCALE, size * exp(t)),
            # constants and products 3; below 0 as exp(t) - 1, of which each term is at most 1
            value_error=lambda t, a: 3 * a + t.not_positive * (FUNCTION * size),
            slope_error=lambda t, a, s: 2 * s + t.not_positive * ((FUNCTION + 3) * (size if inplace else s)),
            limit_error=(FUNCTION + 3) * size if inplace else 0.0,
            max_curvature=size,
            decay=1.0,
            factor=size,
            linear_above=0.0,
            kinks=((0.0, size - SCALE, 0.0),),
            at_nan=False,
        )
    )
