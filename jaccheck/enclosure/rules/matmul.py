"""The product of a value with a matrix, which may be a parameter."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Jacobian, Transposed
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.linear import Linear


class Times:
    """``z = a W`` with a ``[N, …, I]`` and W ``[I, O]``: a linear layer with the transposed weight."""

    def __init__(self, W: Tensor) -> None:
        self.W, self.linear = W, Linear(W.mT, None)

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        if a.centre.dim() < 2:
            raise Unsupported("no enclosure for a product of a matrix with the batch axis")
        return self.linear.forward(fl, a)

    @property
    def gain(self) -> float:
        return self.linear.gain

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return self.linear.vjp(fl, D)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        ((_, J),) = self.linear.jacobians(fl, D)
        return ((self.W, Transposed(J)),)


@rule(operator.matmul, torch.matmul, torch.mm, "matmul", "mm")
def matmul(input: Wire, other: Tensor) -> Times:
    if not isinstance(input, Wire) or not isinstance(other, Tensor) or other.dim() != 2:
        raise Unsupported("no enclosure for a matrix product other than of a value with one matrix")
    return Times(other)
