"""t / (1 + |t|)."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

SOFTSIGN = Activation(
    value=lambda t: t / (1 + t.abs()),
    slope=lambda t: 1 / (1 + t.abs()) ** 2,
    value_error=3,
    # as 1 / (1 + |t|) - |t| / (1 + |t|)², five roundings on each term and one on the difference
    slope_error=lambda t, a, s: 8 * s.sqrt(),
    max_curvature=2.0,
    decay=2.0,  # φ'' = ±2 φ' / (1 + |t|)
    exact_where=lambda t: t == 0,
    at_infinity=False,
)


@rule(nn.Softsign, F.softsign)
def softsign(wire: Wire) -> Elementwise:
    return Elementwise(SOFTSIGN)
