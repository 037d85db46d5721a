"""t, or α (eᵗ - 1) below 0."""

from __future__ import annotations

import torch
from torch import exp, expm1, nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


@rule(nn.ELU, F.elu, "elu")
def elu(wire: Wire, alpha: float = 1.0, inplace: bool = False) -> Elementwise:
    size = abs(alpha)
    return Elementwise(
        Activation(
            value=lambda t: torch.where(t > 0, t, alpha * expm1(t)),
            slope=lambda t: torch.where(t > 0, 1.0, alpha * exp(t)),
            # as exp(t) - 1, of which each term is at most 1: torch's formula up to 2.8
            value_error=lambda t, a: t.not_positive * (FUNCTION * size + 3 * a),
            # in place it is a + α, which keeps the absolute error of a
            slope_error=lambda t, a, s: t.not_positive * ((FUNCTION + 3) * (size if inplace else s)),
            limit_error=(FUNCTION + 3) * size if inplace else 0.0,
            max_curvature=size,
            decay=1.0,
            factor=size,
            linear_above=0.0,
            kinks=((0.0, abs(1 - alpha), 0.0),),
            exact_where=lambda t: t >= 0,
            at_nan=False,
        )
    )
