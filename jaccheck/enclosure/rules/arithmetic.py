"""Sums, differences and products: of two values, or of a value and a constant or parameter."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.broadcast import summed_to

Operand = Wire | Tensor | float | int


def constant(operand: Tensor | float | int, like: Ball) -> Ball:
    """An operand that isn't a value of the graph, so that it broadcasts against ``[N, *features]``."""
    t = operand if isinstance(operand, Tensor) else torch.tensor(float(operand), dtype=torch.float64, device="cpu")
    if t.dim() >= like.centre.dim():
        raise Unsupported("no enclosure for a constant that has a batch axis")
    return Ball.exact(t.to(like.centre.device))


def per_sample(t: Ball, dim: int) -> Ball:
    """`t`, broadcast against ``[N, C, *features]`` of `dim` axes: its own batch axis, if any, stays in front."""
    return t.moved(lambda s: s.reshape(s.shape[0], *[1] * (dim - s.dim()), *s.shape[1:]))


class Added:
    """``s + sign · t`` of two values, or of a value and a constant or parameter."""

    def __init__(self, operands: Sequence[Operand], sign: int) -> None:
        self.operands, self.sign = operands, sign

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        values = iter(inputs)
        s, t = (next(values) if isinstance(o, Wire) else constant(o, inputs[0]) for o in self.operands)
        self.shapes = s.shape, t.shape
        # a Python number is rounded to the dtype at most once before the sum
        return fl.added(s, t if self.sign > 0 else -t, k=1 if self._all_tensors() else 2)

    @property
    def gain(self) -> float:
        return 1.0

    def _all_tensors(self) -> bool:
        return all(isinstance(o, (Wire, Tensor)) for o in self.operands)

    def _cotangents(self, fl: Arithmetic, D: Ball) -> list[Ball]:
        parts = []
        for sign, operand, shape in zip((1, self.sign), self.operands, self.shapes, strict=True):
            features = shape[1:] if isinstance(operand, Wire) else shape
            part = summed_to(fl, D, features)
            parts.append(part if sign > 0 else -part)
        return parts

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        parts = self._cotangents(fl, D)
        return tuple(part for part, o in zip(parts, self.operands, strict=True) if isinstance(o, Wire))

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        parts = self._cotangents(fl, D)
        return tuple((o, Direct(part)) for part, o in zip(parts, self.operands, strict=True) if isinstance(o, Tensor))


class Multiplied:
    """``s t`` of two values, or of a value and a constant or parameter."""

    def __init__(self, operands: Sequence[Operand], roundings: int = 1) -> None:
        self.operands, self.roundings = operands, roundings

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        values = iter(inputs)
        self.s, self.t = (next(values) if isinstance(o, Wire) else constant(o, inputs[0]) for o in self.operands)
        return fl.product(self.s, self.t, k=self.roundings)

    @property
    def gain(self) -> float:
        return max((float(t.mag.amax()) for t in (self.s, self.t) if t.centre.numel()), default=0.0)

    def _cotangents(self, fl: Arithmetic, D: Ball) -> list[Ball]:
        parts = []
        for operand, own, other in zip(self.operands, (self.s, self.t), (self.t, self.s), strict=True):
            is_value = isinstance(self.operands[1 if own is self.s else 0], Wire)
            factor = per_sample(other, D.centre.dim()) if is_value else other
            features = own.shape[1:] if isinstance(operand, Wire) else own.shape
            parts.append(summed_to(fl, fl.product(D, factor, k=self.roundings), features))
        return parts

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        parts = self._cotangents(fl, D)
        return tuple(part for part, o in zip(parts, self.operands, strict=True) if isinstance(o, Wire))

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        parts = self._cotangents(fl, D)
        return tuple((o, Direct(part)) for part, o in zip(parts, self.operands, strict=True) if isinstance(o, Tensor))


class Negated(NoParameters):
    """``-s``, exactly."""

    def forward(self, fl: Arithmetic, s: Ball) -> Ball:
        return -s

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return (-D,)


@rule(operator.add, torch.add, "add", operator.iadd)
def add(input: Operand, other: Operand, *, alpha: float = 1) -> Added:
    return Added((input, other), sign=_sign(alpha))


@rule(operator.sub, torch.sub, "sub", operator.isub)
def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Added:
    return Added((input, other), sign=-_sign(alpha))


def _sign(alpha: float) -> int:
    if alpha not in (1, -1):
        raise Unsupported(f"no enclosure for a sum with alpha={alpha}")
    return int(alpha)


@rule(operator.mul, torch.mul, "mul", operator.imul)
def mul(input: Operand, other: Operand) -> Multiplied:
    exact = all(isinstance(o, (Wire, Tensor)) for o in (input, other))
    return Multiplied((input, other), roundings=1 if exact else 2)  # a Python number is rounded first


@rule(operator.neg, torch.neg, "neg")
def neg(input: Wire) -> Negated:
    return Negated()
