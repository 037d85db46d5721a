"""The product of a value with a matrix, which may be a parameter."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Jacobian, Transposed
from jaccheck.enclosure.rules._rule import Rule, Wire, rule
from jaccheck.enclosure.rules.linear import Linear


class Times:
    """``z = a W + b`` with a ``[N, …, I]``, W ``[I, O]`` and b ``[O]`` or none: a linear layer whose weight is Wᵀ."""

    def __init__(self, W: Tensor, b: Tensor | None = None) -> None:
        self.W, self.linear = W, Linear(W.mT, b)

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        if a.centre.dim() < 2:
            raise Unsupported("no enclosure for a product of a matrix with the batch axis")
        return self.linear.forward(fl, a)

    @property
    def gain(self) -> float:
        return self.linear.gain

    @property
    def tangent_loss(self) -> float:
        return 0.0

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return self.linear.vjp(fl, D)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        (_, J), *of_bias = self.linear.jacobians(fl, D)
        return ((self.W, Transposed(J)), *of_bias)


@rule(operator.matmul, torch.matmul, torch.mm, "matmul", "mm")
def matmul(input: Wire, other: Tensor) -> Times:
    if not isinstance(input, Wire) or not isinstance(other, Tensor) or other.dim() != 2:
        raise Unsupported("no enclosure for a matrix product other than of a value with one matrix")
    return Times(other)


@rule(torch.addmm)
def addmm(input: Tensor, mat1: Wire, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Rule:
    if (beta, alpha) != (1, 1) or not isinstance(mat2, Tensor):
        raise Unsupported("no enclosure for an addmm with factors, or of two values")
    return affine_rule(mat1, mat2, input)


def affine(input: Tensor, other: Tensor, bias: Tensor) -> Tensor:
    """What `torch.nn.functional.linear` computes of a transposed weight."""
    return input @ other + bias


@rule(affine)
def affine_rule(input: Wire, other: Tensor, bias: Tensor) -> Times:
    if not isinstance(input, Wire) or not isinstance(bias, Tensor) or bias.dim() != 1:
        raise Unsupported("no enclosure for a product with a matrix and a bias that isn't one row of parameters")
    return Times(other, bias)
