"""t, or α (exp(t/α) - 1) below 0."""

from __future__ import annotations

import torch
from torch import celu, exp, expm1, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


@rule(nn.CELU, F.celu, celu, "celu")
def celu_rule(wire: Wire, alpha: float = 1.0, inplace: bool = False) -> Elementwise:
    if not alpha > 0:
        raise Unsupported(f"no enclosure for CELU with alpha={alpha}")
    return Elementwise(
        Activation(
            value=lambda t: torch.where(t > 0, t, alpha * expm1(t / alpha)),
            slope=lambda t: torch.where(t > 0, 1.0, exp(t / alpha)),
            # as for ELU; t/α is rounded twice, which moves α exp(t/α) by 2 |t/α| exp(t/α) α <= α
            value_error=lambda t, a: t.not_positive * ((FUNCTION + 1) * alpha + 3 * a),
            slope_error=lambda t, a, s: (
                t.not_positive * ((FUNCTION + 4) * (1 if inplace else s) + 2 * s * (t.low / alpha).clamp(max=0).abs())
            ),
            limit_error=FUNCTION + 4 if inplace else 0.0,
            max_curvature=1 / alpha,
            decay=1 / alpha,
            factor=1 / alpha,
            losses=alpha + 1,  # D (1/α) α exp(t/α), from the left
            linear_above=0.0,
            exact_where=lambda t: t >= 0,
            at_nan=False,
        )
    )
