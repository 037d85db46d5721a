"""What passes its input on."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule


class Passed(NoParameters):
    """``a = z``."""

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        return z

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return (D,)


@rule(nn.Identity)
def identity(wire: Wire) -> Passed:
    return Passed()


@rule(torch.clone, "clone", "contiguous")
def clone(input: Wire, *, memory_format: object = None) -> Passed:
    return Passed()


@rule(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, F.dropout)
def dropout(wire: Wire, p: float = 0.5, training: bool = True, inplace: bool = False) -> Passed:
    if training and p:
        raise Unsupported("no enclosure for dropout in training mode")
    return Passed()
