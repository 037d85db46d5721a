"""Calls that put values side by side, behind the batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule


class Joined(NoParameters):
    """Values one after the other along a feature axis, or along a `new` one."""

    def __init__(self, parts: Sequence[Any], dim: int, *, new: bool = False) -> None:
        self.what = "a stack" if new else "a concatenation"
        if not all(isinstance(part, Wire) for part in parts):
            raise Unsupported(f"no enclosure for {self.what} with a constant")
        self.dim, self.new = dim, new

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        self.axis = self.dim % (inputs[0].centre.dim() + self.new)
        if self.axis == 0:
            raise Unsupported(f"no enclosure for {self.what} along the batch axis")
        self.sizes = [1 if self.new else a.shape[self.axis] for a in inputs]
        return Ball(self._joined([a.centre for a in inputs]), self._joined([a.radius for a in inputs]))

    def _joined(self, parts: list[Tensor]) -> Tensor:
        return torch.stack(parts, self.axis) if self.new else torch.cat(parts, self.axis)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        axis = self.axis + 1

        def part(start: int, size: int) -> Ball:
            return D.moved(lambda t: t.select(axis, start) if self.new else t.narrow(axis, start, size))

        starts = (sum(self.sizes[:i]) for i in range(len(self.sizes)))
        return tuple(part(start, size) for start, size in zip(starts, self.sizes, strict=True))


@rule(torch.cat, torch.concat, "concatenate")
def cat(tensors: Sequence[Any], dim: int = 0) -> Joined:
    return Joined(tensors, dim)


@rule(torch.hstack)
def hstack(tensors: Sequence[Any]) -> Joined:
    return Joined(tensors, 1)


@rule(torch.stack)
def stack(tensors: Sequence[Any], dim: int = 0) -> Joined:
    return Joined(tensors, dim, new=True)
