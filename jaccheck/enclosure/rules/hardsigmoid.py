"""t / 6 + 1/2, held between 0 and 1."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

HARDSIGMOID = Activation(
    value=lambda t: (t / 6 + 0.5).clamp(0, 1),
    slope=lambda t: ((t > -3) & (t < 3)).double() / 6,
    # t + 3, of numbers below 7, then a sixth of it
    value_error=lambda t, a: 3 * a + ((t.low < 4) & (t.high > -4)) * 2.0,
    slope_error=2,
    kinks=((-3.0, 1 / 6, 0.0), (3.0, 1 / 6, 0.0)),
)


@rule(nn.Hardsigmoid, F.hardsigmoid, "hardsigmoid")
def hardsigmoid(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(HARDSIGMOID)
