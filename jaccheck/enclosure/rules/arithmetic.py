"""Sums, differences and products: of two values, or of a value and a constant or parameter."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._pair import Operand, Pair
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule


class Added(Pair):
    """``s + sign · t``."""

    def __init__(self, operands: Sequence[Operand], sign: int) -> None:
        super().__init__(operands)
        self.sign = sign

    def value(self, fl: Arithmetic) -> Ball:
        return fl.added(self.s, self.t if self.sign > 0 else -self.t)

    @property
    def gain(self) -> float:
        return 1.0

    def derivatives(self, fl: Arithmetic, D: Ball) -> tuple[Ball, Ball]:
        return D, D if self.sign > 0 else -D


class Multiplied(Pair):
    """``s t``."""

    def value(self, fl: Arithmetic) -> Ball:
        return fl.product(self.s, self.t)

    @property
    def gain(self) -> float:
        return max((float(t.mag.amax()) for t in (self.s, self.t) if t.centre.numel()), default=0.0)

    def derivatives(self, fl: Arithmetic, D: Ball) -> tuple[Ball, Ball]:
        s, t = self.against(D)
        return fl.product(D, t), fl.product(D, s)


class Negated(NoParameters):
    """``-s``, exactly."""

    def forward(self, fl: Arithmetic, s: Ball) -> Ball:
        return -s

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return (-D,)


@rule(operator.add, torch.add, "add", operator.iadd)
def add(input: Operand, other: Operand, *, alpha: float = 1) -> Added:
    return Added((input, other), sign=_sign(alpha))


@rule(operator.sub, torch.sub, "sub", operator.isub, "subtract")
def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Added:
    return Added((input, other), sign=-_sign(alpha))


@rule(torch.rsub)
def rsub(input: Operand, other: Operand, *, alpha: float = 1) -> Added:
    return Added((other, input), sign=-_sign(alpha))


def _sign(alpha: float) -> int:
    if alpha not in (1, -1):
        raise Unsupported(f"no enclosure for a sum with alpha={alpha}")
    return int(alpha)


@rule(operator.mul, torch.mul, "mul", operator.imul, "multiply")
def mul(input: Operand, other: Operand) -> Multiplied:
    return Multiplied((input, other))


@rule(operator.neg, torch.neg, "neg", "negative")
def neg(input: Wire) -> Negated:
    return Negated()
