"""Calls that put values and constants side by side, behind the batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.given import Given, of_one_sample


class Joined(NoParameters):
    """Values and constants one after the other along a feature axis, or along a `new` one."""

    def __init__(self, parts: Sequence[Any], dim: int, *, new: bool = False) -> None:
        self.what = "a stack" if new else "a concatenation"
        if any(isinstance(part, Tensor) and part.requires_grad for part in parts):
            raise Unsupported(f"no enclosure for {self.what} with a parameter, unless it is expanded")
        self.parts, self.dim, self.new = parts, dim, new

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        self.axis = self.dim % (inputs[0].centre.dim() + self.new)
        if self.axis == 0:
            raise Unsupported(f"no enclosure for {self.what} along the batch axis")
        values = iter(inputs)
        balls = [
            next(values) if isinstance(part, Wire) else Given(of_one_sample(part)).forward(fl, inputs[0])
            for part in self.parts
        ]
        self.sizes = [1 if self.new else a.shape[self.axis] for a in balls]
        return Ball(self._joined([a.centre for a in balls]), self._joined([a.radius for a in balls]))

    def _joined(self, parts: list[Tensor]) -> Tensor:
        return torch.stack(parts, self.axis) if self.new else torch.cat(parts, self.axis)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        axis = self.axis + 1

        def part(start: int, size: int) -> Ball:
            return D.moved(lambda t: t.select(axis, start) if self.new else t.narrow(axis, start, size))

        starts = accumulate(self.sizes, initial=0)
        return tuple(
            part(start, size)
            for own, start, size in zip(self.parts, starts, self.sizes, strict=False)
            if isinstance(own, Wire)
        )


@rule(torch.cat, torch.concat, "concatenate")
def cat(tensors: Sequence[Any], dim: int = 0) -> Joined:
    return Joined(tensors, dim)


@rule(torch.hstack)
def hstack(tensors: Sequence[Any]) -> Joined:
    return Joined(tensors, 1)


@rule(torch.stack)
def stack(tensors: Sequence[Any], dim: int = 0) -> Joined:
    return Joined(tensors, dim, new=True)
