"""The enclosure at work, and what Arb says to it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jaccheck.enclosure import Ball, Oracle
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.rules import Wire, layer_call
from jaccheck.enclosure.rules._activation import Elementwise
from jaccheck.enclosure.rules.identity import Passed
from tests import arb


def images(layer: nn.Module, fl: Arithmetic, z: Ball) -> tuple[Ball, Ball]:
    """Where the rule has φ(z) and φ'(z), after what an overflow makes of them."""
    rule = layer_call(layer, (Wire(0),))
    value = rule.forward(fl, z)
    if isinstance(rule, Passed):
        return value, Ball.exact(torch.ones_like(z.centre))
    assert isinstance(rule, Elementwise)
    return value, rule.psi


def missed(model: nn.Module, x: Tensor) -> list[arb.Miss]:
    """Where the true Jacobian, or the true output, lies outside the enclosure of `model` at `x`."""
    oracle, every = Oracle(model, x), slice(None)
    balls = {name: oracle.rows(name, every, every) for name in oracle.jacobians()} | {"": oracle.output}
    parts = {key: (ball.centre, ball.radius) for key, ball in balls.items()}
    return arb.misses(parts, lambda: arb.jacobian(model, x) | {"": arb.output(model, x)})
