"""t above a threshold, a constant below."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


@rule(nn.Threshold, F.threshold, torch.threshold, "threshold")
def threshold_rule(wire: Wire, threshold: float, value: float, inplace: bool = False) -> Elementwise:
    return Elementwise(
        Activation(
            value=lambda t: torch.where(t <= threshold, t.new_full((), value), t),
            slope=lambda t: (~(t <= threshold)).double(),
            # where it may be the value, as the threshold is rounded up, by η at least, which is 2^-25 at most
            value_error=lambda t, a: (t.low <= threshold + 2**-6 * abs(threshold) + 2**-25) * abs(value),
            slope_error=0,
            kinks=((threshold, 1.0, abs(threshold - value)),),
            exact_where=lambda t: t.isfinite(),
        )
    )
