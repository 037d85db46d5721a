"""t, or a slope times t below 0."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


@rule(nn.LeakyReLU, F.leaky_relu, "leaky_relu")
def leaky_relu(wire: Wire, negative_slope: float = 0.01, inplace: bool = False) -> Elementwise:
    return Elementwise(
        Activation(
            value=lambda t: torch.where(t > 0, t, negative_slope * t),
            slope=lambda t: torch.where(t > 0, 1.0, t.new_full((), negative_slope)),
            # the slope as a number of the dtype, and the product
            value_error=lambda t, a: t.not_positive * (2 * a),
            slope_error=lambda t, a, s: t.not_positive * abs(2 * negative_slope),
            kinks=((0.0, abs(1 - negative_slope), 0.0),),
            exact_where=lambda t: t.isfinite(),
        )
    )
