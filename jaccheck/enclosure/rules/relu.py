"""max(t, 0)."""

from __future__ import annotations

from torch import nn, relu
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

RELU = Activation(
    value=lambda t: t.clamp(min=0),
    slope=lambda t: (~(t <= 0)).double(),  # torch's backward masks where t <= 0, so that a NaN lets the gradient pass
    value_error=0,
    slope_error=0,
    kinks=((0.0, 1.0, 0.0),),
    exact=True,
)


@rule(nn.ReLU, F.relu, relu, "relu")
def relu_rule(wire: Wire, inplace: bool = False) -> Elementwise:
    return Elementwise(RELU)
