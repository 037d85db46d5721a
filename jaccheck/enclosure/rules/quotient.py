"""Quotients, of which one operand or both are values of the graph."""

from __future__ import annotations

import operator
from math import inf

import torch

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.rules._pair import Operand, Pair, per_sample
from jaccheck.enclosure.rules._rule import Wire, rule


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


class Divided(Pair):
    """``q = s / t``, so that ``∂q/∂s = 1/t`` and ``∂q/∂t = -(s/t)/t``."""

    def value(self, fl: Arithmetic) -> Ball:
        self.q = quotient(fl, self.s, self.t)
        return self.q

    @property
    def gain(self) -> float:
        """Of ``(δs - (s/t) δt) / t``, and of what is divided there."""
        sums = self.q.centre.abs() + 1
        reached = torch.cat([sums.flatten(), (sums / self.t.centre.abs()).flatten()])
        known = reached[reached.isfinite()]
        return 2 * float(known.max()) if known.numel() else 0.0

    def derivatives(self, fl: Arithmetic, D: Ball) -> tuple[Ball, Ball]:
        _, t = self.against(D)
        q = per_sample(self.q, D.centre.dim())
        # -D ((s/t)/t), or -(D (s/t))/t, or -(D/t) (s/t): one rounding each besides that of s/t
        for_t = fl.product(D, quotient(fl, q, t), k=2)
        return quotient(fl, D, t), -for_t


@rule(operator.truediv, torch.div, torch.true_divide, "div", operator.itruediv, "divide", "true_divide")
def div(input: Operand, other: Operand) -> Divided:
    return Divided((input, other))


@rule(torch.reciprocal, "reciprocal")
def reciprocal(input: Wire) -> Divided:
    return Divided((1.0, input))
