"""t, or α (exp(t/α) - 1) below 0."""

from __future__ import annotations

from math import frexp

import torch
from torch import Tensor, celu, exp, expm1, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise, Span
from jaccheck.enclosure.rules._rule import Wire, rule


@rule(nn.CELU, F.celu, celu, "celu")
def celu_rule(wire: Wire, alpha: float = 1.0, inplace: bool = False) -> Elementwise:
    if alpha < 0 and inplace:
        raise Unsupported(f"torch has no derivative of CELU in place with alpha={alpha}")
    return Elementwise(_rising(alpha, inplace) if alpha > 0 else _falling(alpha))


def _value(alpha: float, t: Tensor) -> Tensor:
    return torch.where(t > 0, t, alpha * expm1(t / alpha))


def _slope(alpha: float, t: Tensor) -> Tensor:
    return torch.where(t > 0, 1.0, exp(t / alpha))


def _exact(alpha: float, t: Tensor) -> Tensor:
    """Where nothing is rounded: at 0 the derivative is (1/α) α."""
    return t >= 0 if abs(frexp(alpha)[0]) == 0.5 else t > 0


def _rising(alpha: float, inplace: bool) -> Activation:
    return Activation(
        value=lambda t: _value(alpha, t),
        slope=lambda t: _slope(alpha, t),
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
        exact_where=lambda t: _exact(alpha, t),
        at_nan=False,
    )


def _falling(alpha: float) -> Activation:
    """With α < 0, where z = t/α grows as t falls, and exp(z) without bound."""
    size = -alpha

    def most(t: Span) -> Tensor:
        return (t.low / alpha).clamp(min=0)

    return Activation(
        value=lambda t: _value(alpha, t),
        slope=lambda t: _slope(alpha, t),
        # |α| exp(z) = |φ| + |α|, of which exp(z) is FUNCTION off, and 2 z, z being rounded twice: 3 z, since z may be
        # 88 in bfloat16, where exp(2 u z) - 1 is more than COMPOUND allows for
        value_error=lambda t, a: t.not_positive * ((FUNCTION + 3 * most(t)) * (a + size) + 3 * a),
        slope_error=lambda t, a, s: t.not_positive * (FUNCTION + 4 + 3 * most(t)) * s,
        max_curvature=lambda t: t.not_positive * exp(most(t)) / size,
        on_the_way=lambda t: exp(most(t) + 1),  # as large as it is when rounded
        factor=1 / size,
        losses=lambda t: (size + 1) * exp(most(t)),  # as above
        exact_where=lambda t: _exact(alpha, t),
        at_nan=False,
    )
