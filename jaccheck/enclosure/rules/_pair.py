"""The part that calls of two operands have in common: two values, or a value and a constant or parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._rule import Wire
from jaccheck.enclosure.rules.broadcast import per_sample, summed_to
from jaccheck.enclosure.rules.given import of_one_sample

Operand = Wire | Tensor | float | int


class Pair(ABC):
    """A function of s and t, element by element and broadcast."""

    s: Ball
    t: Ball

    @property
    def tangent_loss(self) -> Tensor | float:
        return 0.0

    def __init__(self, operands: Sequence[Operand]) -> None:
        self.operands = operands

    @abstractmethod
    def value(self, fl: Arithmetic) -> Ball:
        """``[N, *features]``."""

    @abstractmethod
    def derivatives(self, fl: Arithmetic, D: Ball) -> tuple[Ball, Ball]:
        """∂f/∂s and ∂f/∂t, ``[N, C, *features]``, as if neither had been broadcast."""

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        if len({value.centre.dim() for value in inputs}) > 1:
            raise Unsupported("no enclosure for values of different ranks, whose batch axes are then no longer one")
        values = iter(inputs)
        self.s, self.t = (next(values) if isinstance(o, Wire) else constant(fl, o, inputs[0]) for o in self.operands)
        return self.value(fl)

    def against(self, D: Ball) -> tuple[Ball, Ball]:
        """s and t, broadcast against ``[N, C, *features]``."""
        dim = D.centre.dim()
        s, t = (
            per_sample(own, dim) if isinstance(o, Wire) else own
            for own, o in zip((self.s, self.t), self.operands, strict=True)
        )
        return s, t

    def _cotangents(self, fl: Arithmetic, D: Ball) -> list[tuple[Operand, Ball]]:
        return [
            (operand, summed_to(fl, part, own.shape[1:] if isinstance(operand, Wire) else own.shape))
            for operand, part, own in zip(self.operands, self.derivatives(fl, D), (self.s, self.t), strict=True)
        ]

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return tuple(part for operand, part in self._cotangents(fl, D) if isinstance(operand, Wire))

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        return tuple(
            (operand, _shaped(part, operand.shape))
            for operand, part in self._cotangents(fl, D)
            if isinstance(operand, Tensor) and operand.requires_grad
        )


def _shaped(part: Ball, shape: torch.Size) -> Direct:
    return Direct(part.moved(lambda t: t.reshape(*t.shape[:2], *shape)))


def constant(fl: Arithmetic, operand: Tensor | float | int, like: Ball) -> Ball:
    """An operand that isn't a value of the graph, so that it broadcasts against ``[N, *features]``."""
    if isinstance(operand, complex):
        raise Unsupported("no enclosure for complex numbers")
    if not isinstance(operand, Tensor):
        return fl.number(float(operand), like.centre)
    if operand.dim() == 0 and not operand.requires_grad:  # its dtype may be another one
        return fl.number(float(operand), like.centre)
    if operand.dim() == like.centre.dim():
        if operand.requires_grad and operand.shape[0] != 1:
            raise Unsupported("no enclosure for a parameter that has a batch axis")
        operand = of_one_sample(operand)
    if operand.dim() >= like.centre.dim():
        raise Unsupported("no enclosure for a constant that has more axes than values")
    return Ball.exact(operand.to(like.centre.device))
