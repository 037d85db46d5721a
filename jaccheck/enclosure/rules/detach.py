"""What passes its input on, and no derivative back."""

from __future__ import annotations

import torch

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule


class Detached(NoParameters):
    """``a = z``, a constant to whoever differentiates."""

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        return z

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        nothing = torch.zeros_like(D.centre)
        return (Ball(nothing, nothing, None if D.reach is None else nothing),)


@rule("detach")
def detach(input: Wire) -> Detached:
    return Detached()
