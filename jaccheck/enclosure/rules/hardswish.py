"""t (t + 3) / 6 between -3 and 3, 0 below and t above."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._capabilities import hardswish_is_closed
from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


def _slope(t: Tensor) -> Tensor:
    between = t.abs() <= 3 if hardswish_is_closed() else t.abs() < 3
    return torch.where(between, t / 3 + 0.5, (t > 0).to(t.dtype))


HARDSWISH = Activation(
    value=lambda t: t * (t + 3).clamp(0, 6) / 6,
    slope=_slope,
    value_error=lambda t, a: 4 * a + ((t.low < 4) & (t.high > -4)) * 4.0,  # t + 3, of numbers below 7, times t / 6
    slope_error=lambda t, a, s: ((t.low < 4) & (t.high > -4)) * 5.0,  # t / 3 + 1/2, of numbers below 2
    max_curvature=1 / 3,
    kinks=((-3.0, 0.5, 0.0), (3.0, 0.5, 0.0)),
    at_nan=False,
    on_the_way=lambda t: 6 * t.mag,
    at_infinity=False,
)


@rule(nn.Hardswish, F.hardswish, "hardswish")
def hardswish(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(HARDSWISH)
