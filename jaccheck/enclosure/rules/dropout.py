"""What drops elements by chance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Rule, Wire, rule
from jaccheck.enclosure.rules.identity import Passed


class Dropped(NoParameters):
    """``a = m z`` for a mask m of zeros and ``1 / (1 - p)``: what the layer gives for ones, by the same chance."""

    def __init__(self, drop: Callable[..., Tensor], p: float) -> None:
        self.drop, self.p = partial(drop, p=p, training=True), p
        self.mask: Ball | None = None

    def drawn(self, z: Tensor) -> Tensor:
        """Draw the mask for a value in torch, of whose layout it depends, and apply it."""
        mask = self.drop(torch.ones_like(z))
        self.mask = Ball.exact(mask)
        return z * mask

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        if self.mask is None and self.p == 1:  # nothing is left to chance
            self.mask = Ball.exact(torch.zeros_like(z.centre))
        if self.mask is None:
            raise Unsupported("no enclosure for dropout in training mode, unless a seed is given")
        # a mask, rounded or not, is multiplied in, or the zeros and ones, and then the factor
        return fl.product(z, self.mask, k=2)

    @property
    def gain(self) -> float:
        assert self.mask is not None
        return max(1.0, float(self.mask.centre.amax())) if self.mask.centre.numel() else 1.0

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        assert self.mask is not None
        return (fl.product(D, self.mask.moved(lambda t: t[:, None]), k=2),)


def _rule(drop: Callable[..., Tensor], p: float, training: bool) -> Rule:
    return Dropped(drop, p) if training and p else Passed()


@rule(nn.Dropout, F.dropout)
def dropout(wire: Wire, p: float = 0.5, training: bool = True, inplace: bool = False) -> Rule:
    return _rule(F.dropout, p, training)


@rule(nn.Dropout1d, F.dropout1d)
def dropout1d(wire: Wire, p: float = 0.5, training: bool = True, inplace: bool = False) -> Rule:
    return _rule(F.dropout1d, p, training)


@rule(nn.Dropout2d, F.dropout2d)
def dropout2d(wire: Wire, p: float = 0.5, training: bool = True, inplace: bool = False) -> Rule:
    return _rule(F.dropout2d, p, training)


@rule(nn.Dropout3d, F.dropout3d)
def dropout3d(wire: Wire, p: float = 0.5, training: bool = True, inplace: bool = False) -> Rule:
    return _rule(F.dropout3d, p, training)


@rule(nn.AlphaDropout, nn.FeatureAlphaDropout, F.alpha_dropout, F.feature_alpha_dropout)
def alpha_dropout(wire: Wire, p: float = 0.5, training: bool = False, inplace: bool = False) -> Rule:
    if training and p:
        raise Unsupported("no enclosure for alpha dropout in training mode")
    return Passed()
