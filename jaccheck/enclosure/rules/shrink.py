"""What is 0 around 0."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


@rule(nn.Softshrink, F.softshrink)
def softshrink(wire: Wire, lambd: float = 0.5) -> Elementwise:
    return Elementwise(
        Activation(
            value=lambda t: t - t.clamp(-lambd, lambd),
            slope=lambda t: (~((t >= -lambd) & (t <= lambd))).double(),
            value_error=lambda t, a: (a > 0) * (lambd + a),
            slope_error=0,
            kinks=((-lambd, 1.0, 0.0), (lambd, 1.0, 0.0)),
            exact_where=lambda t: t.isfinite(),
            at_nan=False,
        )
    )


@rule(nn.Hardshrink, F.hardshrink, torch.hardshrink, "hardshrink")
def hardshrink(wire: Wire, lambd: float = 0.5) -> Elementwise:
    return Elementwise(
        Activation(
            value=lambda t: t.where(~((t >= -lambd) & (t <= lambd)), t.new_zeros(())),
            slope=lambda t: (~((t >= -lambd) & (t <= lambd))).double(),
            value_error=0,
            slope_error=0,
            kinks=((-lambd, 1.0, lambd), (lambd, 1.0, lambd)),
            exact_where=lambda t: t.isfinite(),
            at_nan=False,
        )
    )
