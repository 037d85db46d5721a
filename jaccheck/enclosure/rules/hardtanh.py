"""t, held between two bounds."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


def held(low: float, high: float) -> Elementwise:
    return Elementwise(
        Activation(
            value=lambda t: t.clamp(low, high),
            slope=lambda t: (~((t <= low) | (t >= high))).double(),
            value_error=lambda t, a: ((t.low <= low) | (t.high >= high)) * a,  # the bounds as numbers of the dtype
            slope_error=0,
            kinks=((low, 1.0, 0.0), (high, 1.0, 0.0)),
            exact_where=lambda t: t.isfinite(),
            at_nan=False,
        )
    )


@rule(nn.Hardtanh, F.hardtanh)
def hardtanh(wire: Wire, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Elementwise:
    return held(min_val, max_val)


@rule(nn.ReLU6, F.relu6)
def relu6(wire: Wire, inplace: bool = False) -> Elementwise:
    return held(0.0, 6.0)
