"""Quotients, of which one operand or both are values of the graph."""

from __future__ import annotations

import operator
from math import inf

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.rules._pair import Operand, Pair
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.broadcast import per_sample


def quotient(fl: Arithmetic, s: Ball, t: Ball, *, inverted: bool = False) -> Ball:
    """``s / t``, element by element and broadcast; or `inverted`, as ``s (1/t)``, where 1/t may underflow.

    ``|s/t - c_s/c_t| <= (δs + |c_s/c_t| δt) / (|c_t| - δt)``; unknown where t may be 0 or something isn't finite.
    """
    centre, least = s.centre / t.centre, _least(t)
    spread = up((s.radius + centre.abs() * t.radius) / least + EPS * centre.abs())
    known = (least > 0) & centre.isfinite() & spread.isfinite()
    reach = None if s.reach is None and t.reach is None else torch.where(known, up(s.mag / least), inf)
    if inverted:
        spread = up(spread, s.mag * fl.eta)
    return fl.rounded(Ball(centre, torch.where(known, spread, inf), reach), k=2 if inverted else 1)


def _least(t: Ball) -> Tensor:
    """No more than any |t|."""
    return (t.centre.abs() * (1 - EPS) - t.radius) * (1 - 2 * EPS)


class Divided(Pair):
    """``q = s / t``, so that ``∂q/∂s = 1/t`` and ``∂q/∂t = -(s/t)/t``."""

    def value(self, fl: Arithmetic) -> Ball:
        self.inverted = not isinstance(self.operands[1], (Wire, Tensor))  # CUDA multiplies by 1/t, rounded
        self.q = quotient(fl, self.s, self.t, inverted=self.inverted)
        return self.q

    @property
    def gain(self) -> float:
        """Of ``(δs - (s/t) δt) / t``, and of what is divided there."""
        sums = self.q.centre.abs() + 1
        reached = torch.cat([sums.flatten(), (sums / self.t.centre.abs()).flatten()])
        known = reached[reached.isfinite()]
        return 2 * float(known.max()) if known.numel() else 0.0

    @property
    def tangent_loss(self) -> Tensor:
        """``(s/t) τ`` underflows, and is divided by t."""
        _, t = self.against(self.q.moved(lambda q: q[:, None]))
        least = _least(t)
        return torch.where(least > 0, 1 / least, inf)

    def derivatives(self, fl: Arithmetic, D: Ball) -> tuple[Ball, Ball]:
        _, t = self.against(D)
        q = per_sample(self.q, D.centre.dim())
        for_t = fl.product(D, quotient(fl, q, t), k=2)  # -D ((s/t)/t), or forward, for a tangent τ, -(τ (s/t))/t
        return quotient(fl, D, t, inverted=self.inverted), -for_t


class Inverse(NoParameters):
    """``z = c (1/t)`` with a number c, which torch makes of ``c / t``: ``∂f/∂t = -(D c) (1/t)²``."""

    def __init__(self, c: float) -> None:
        self.c = float(c)

    def forward(self, fl: Arithmetic, t: Ball) -> Ball:
        self.factor = fl.number(self.c, t.centre)
        inverse = quotient(fl, Ball.exact(torch.ones_like(t.centre)), t)
        self.square = fl.product(inverse, inverse)
        return inverse if self.c == 1 else fl.product(inverse, self.factor)

    @property
    def tangent_loss(self) -> float:
        """``τ / t²`` underflows, and is multiplied by c."""
        return abs(self.c)

    @property
    def gain(self) -> float:
        """Of ``c τ / t²``, and of what is multiplied there."""
        known = self.square.centre[self.square.centre.isfinite()].abs()
        return 2 * float(known.max()) * max(abs(self.c), 1.0) if known.numel() else 0.0

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …] -> [N, C, …]
        scaled = D if self.c == 1 else fl.product(D, self.factor)
        square = self.square.moved(lambda s: s[:, None])
        return (-fl.product(scaled, square, underflows=abs(self.c)),)


@rule(operator.truediv, torch.div, torch.true_divide, "div", operator.itruediv, "divide", "true_divide")
def div(input: Operand, other: Operand) -> Divided | Inverse:
    if isinstance(input, (int, float)) and isinstance(other, Wire):
        return Inverse(input)
    return Divided((input, other))


@rule(torch.reciprocal, "reciprocal")
def reciprocal(input: Wire) -> Inverse:
    return Inverse(1.0)
