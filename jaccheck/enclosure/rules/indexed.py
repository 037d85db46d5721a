"""Basic indices: integers, slices, and new axes, behind the batch axis."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.copied import Copied, chosen


class Indexed(NoParameters):
    """A basic slice behind the batch axis; what is left out has derivative 0."""

    def __init__(self, index: Any) -> None:
        index = index if isinstance(index, tuple) else (index,)
        basic = all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index)
        if not basic or index[0] not in (slice(None), Ellipsis):
            raise Unsupported(f"no enclosure for an index that isn't a slice behind the batch axis: {list(index)}")
        self.index = index

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        self.before = a.shape[1:]
        if self.index[0] is Ellipsis and sum(i is not None and i is not Ellipsis for i in self.index) >= a.centre.dim():
            raise Unsupported("no enclosure for an index of the batch axis")
        out = a[self.index]
        if out.shape[:1] != a.shape[:1]:
            raise Unsupported("no enclosure for an index that changes the batch axis")
        return out

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        index = (slice(None), *self.index)

        def spread(t: Tensor) -> Tensor:
            whole = t.new_zeros(*t.shape[:2], *self.before)
            whole[index] = t
            return whole

        return (D.moved(spread),)


@rule(operator.getitem)
def getitem(input: Wire, index: Any) -> Indexed | Copied:
    if isinstance(index, tuple) and any(isinstance(i, (list, Tensor)) for i in index):
        return chosen(index)
    return Indexed(index)


@rule(torch.narrow, "narrow")
def narrow(input: Wire, dim: int, start: int, length: int) -> Indexed:
    part = slice(start, None if start + length == 0 > start else start + length)
    return Indexed((*(slice(None) for _ in range(dim)), part) if dim >= 0 else (..., part, *[slice(None)] * (-dim - 1)))
