"""What passes its input on."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule

IDENTITY = Activation(
    value=lambda t: t,
    slope=lambda t: t.new_ones(t.shape),
    value_error=lambda t, a: 0.0,
    slope_error=lambda t, a, s: 0.0,
)


@rule(nn.Identity)
def identity(wire: Wire) -> Elementwise:
    return Elementwise(IDENTITY)


@rule(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, F.dropout)
def dropout(wire: Wire, p: float = 0.5, training: bool = True) -> Elementwise:
    if training:
        raise Unsupported("no enclosure for dropout in training mode")
    return Elementwise(IDENTITY)
