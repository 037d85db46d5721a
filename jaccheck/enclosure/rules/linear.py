"""The linear layer."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Direct, Jacobian, Outer, OuterSum
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.broadcast import summed_to


class Linear:
    """``z = a Wᵀ + b`` with a ``[N, …, I]``, W ``[O, I]`` and b ``[O]`` or none."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self.W = weight.detach().double()
        self.magnitude = self.W.abs()
        self.b = None if bias is None else bias.detach().double()

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:  # [N, …, I] -> [N, …, O]
        self.a = a
        return fl.contraction(a, self.W.mT, self.b, absolute=self.magnitude.mT)

    @property
    def gain(self) -> float:
        return float(self.magnitude.sum(1).amax()) if self.magnitude.numel() else 0.0

    @property
    def tangent_loss(self) -> float:
        return 0.0

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …, O] -> [N, C, …, I]
        return (fl.contraction(D, self.W, absolute=self.magnitude),)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        J_W: Jacobian
        if self.a.centre.dim() == 2:
            J_W = Outer(D, self.a)
        else:
            J_W = OuterSum(D.moved(lambda t: t.flatten(2, -2)), self.a.moved(lambda t: t.flatten(1, -2)))
        if self.bias is None:
            return ((self.weight, J_W),)
        return ((self.weight, J_W), (self.bias, Direct(summed_to(fl, D, self.bias.shape))))


@rule(nn.Linear, F.linear)
def linear(wire: Wire, weight: Tensor, bias: Tensor | None = None) -> Linear:
    if isinstance(weight, Wire) or isinstance(bias, Wire):
        raise TypeError("a weight that depends on the input")
    return Linear(weight, bias)
