"""Quotients, of which one operand or both are values of the graph."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.arithmetic import Operand, constant, per_sample
from jaccheck.enclosure.rules.broadcast import summed_to


def quotient(fl: Arithmetic, s: Ball, t: Ball, k: int = 1) -> Ball:
    """``s / t``, element by element and broadcast, rounded k times.

    ``|s/t - c_s/c_t| <= (δs + |c_s/c_t| δt) / (|c_t| - δt)``; unknown where t may be 0 or something isn't finite.
    """
    centre = s.centre / t.centre
    least = (t.centre.abs() * (1 - EPS) - t.radius) * (1 - 2 * EPS)  # no more than any |t|
    spread = up((s.radius + centre.abs() * t.radius) / least + EPS * centre.abs())
    known = (least > 0) & centre.isfinite() & spread.isfinite()
    reach = None if s.reach is None and t.reach is None else torch.where(known, up(s.mag / least), inf)
    return fl.rounded(Ball(centre, torch.where(known, spread, inf), reach), k)


class Divided:
    """``q = s / t``, so that ``∂q/∂s = 1/t`` and ``∂q/∂t = -(s/t)/t``; of numbers, values, constants or parameters."""

    def __init__(self, operands: Sequence[Operand]) -> None:
        self.operands = operands
        # a Python number is rounded to the dtype at most once before the division
        self.roundings = 1 if all(isinstance(o, (Wire, Tensor)) for o in operands) else 2

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        values = iter(inputs)
        self.s, self.t = (next(values) if isinstance(o, Wire) else constant(o, inputs[0]) for o in self.operands)
        self.q = quotient(fl, self.s, self.t, self.roundings)
        return self.q

    @property
    def gain(self) -> float:
        """Of ``(δs - (s/t) δt) / t``, and of what is divided there."""
        sums = self.q.centre.abs() + 1
        reached = torch.cat([sums.flatten(), (sums / self.t.centre.abs()).flatten()])
        known = reached[reached.isfinite()]
        return 2 * float(known.max()) if known.numel() else 0.0

    def _cotangents(self, fl: Arithmetic, D: Ball) -> list[Ball]:
        dim = D.centre.dim()
        t = per_sample(self.t, dim) if isinstance(self.operands[1], Wire) else self.t
        q = per_sample(self.q, dim)
        for_s = quotient(fl, D, t, self.roundings)
        # -D ((s/t)/t), or -(D (s/t))/t, or -(D/t) (s/t): one rounding each besides that of s/t
        for_t = fl.product(D, quotient(fl, q, t, self.roundings), k=2)
        parts = []
        for part, operand, own in ((for_s, self.operands[0], self.s), (-for_t, self.operands[1], self.t)):
            parts.append(summed_to(fl, part, own.shape[1:] if isinstance(operand, Wire) else own.shape))
        return parts

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        parts = self._cotangents(fl, D)
        return tuple(part for part, o in zip(parts, self.operands, strict=True) if isinstance(o, Wire))

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        parts = self._cotangents(fl, D)
        return tuple((o, Direct(part)) for part, o in zip(parts, self.operands, strict=True) if isinstance(o, Tensor))


@rule(operator.truediv, torch.div, torch.true_divide, "div", operator.itruediv)
def div(input: Operand, other: Operand) -> Divided:
    return Divided((input, other))
