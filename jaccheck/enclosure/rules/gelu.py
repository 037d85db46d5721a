"""t Φ(t) with the normal distribution's Φ, or its approximation by tanh."""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor, erfc, exp, nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise, Span
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.tanh import hyperbolic_tangent, squared_sech


def curvature(t: Span) -> Tensor:
    """Of ``|(2 - t²) φ(t)|``: the most is at 0, and from 2 on it falls."""
    m = t.least
    return torch.where(m < 2, 2.0, m * m - 2) * exp(-m * m / 2 * (m >= 2)) / sqrt(2 * pi)


EXACT = Activation(
    value=lambda t: 0.5 * t * erfc(-t / sqrt(2)),
    slope=lambda t: 0.5 * erfc(-t / sqrt(2)) + t * exp(-t * t / 2) / sqrt(2 * pi),
    # as t/2 (1 + erf(t/√2)): a function and five roundings, on terms of at most |t|
    value_error=lambda t, a: (FUNCTION + 6) * t.mag,
    # Φ: as above, at most FUNCTION + 6. t φ(t) <= 1/4: FUNCTION + 5 roundings, and t²/2 twice: |t|³ φ(t) <= 1/2
    slope_error=lambda t, a, s: torch.full_like(s, FUNCTION + 6 + (FUNCTION + 5) / 4 + 1),
    max_curvature=curvature,
    on_the_way=lambda t: 2 * t.mag,
    at_infinity=False,
)

K, CUBIC = sqrt(2 / pi), 0.044715


def _inner(t: torch.Tensor) -> torch.Tensor:
    return K * (t + CUBIC * t**3)


TANH = Activation(
    value=lambda t: 0.5 * t * (1 + hyperbolic_tangent(_inner(t))),
    slope=lambda t: (
        0.5 * (1 + hyperbolic_tangent(_inner(t))) + 0.5 * t * squared_sech(_inner(t)) * K * (1 + 3 * CUBIC * t * t)
    ),
    value_error=lambda t, a: (FUNCTION + 8) * t.mag,  # six roundings of s move tanh by 6 u s / cosh² s <= 3 u
    # 1 - tanh² in absolute terms, times t/2 s'(t), up to s = 20: from there on tanh is taken to give 1 itself, which is
    # nearer than any number of a dtype, though an error of FUNCTION would allow for others
    slope_error=lambda t, a, s: (
        FUNCTION + 8 + (3 * FUNCTION + 12) * 0.5 * t.mag.clamp(max=8) * K * (1 + 3 * CUBIC * t.mag.clamp(max=8) ** 2)
    ),
    max_curvature=1.0,  # 0.798 at 0; |φ''| <= s' sech² s + |t|/2 (|s''| + 2 s'²) sech² s stays below 1
    on_the_way=lambda t: 2 * t.mag,
    at_infinity=False,
)


@rule(nn.GELU, F.gelu, "gelu")
def gelu(wire: Wire, approximate: str = "none") -> Elementwise:
    return Elementwise(TANH if approximate == "tanh" else EXACT)
