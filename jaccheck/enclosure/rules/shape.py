"""Calls that give a sample's elements other axes, behind the batch axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.copied import integers


class Reshaped(NoParameters):
    """The same elements in the same order, sample by sample."""

    def __init__(self, move: Callable[[Tensor], Tensor]) -> None:
        self.move = move

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        self.before = a.shape[1:]
        out = a.moved(self.move)
        if out.centre.dim() == 0 or out.shape[0] != a.shape[0] or math.prod(out.shape[1:]) != math.prod(self.before):
            raise Unsupported(f"no enclosure for a reshape from {list(a.shape)} to {list(out.shape)}: it moves samples")
        return out

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return (D.moved(lambda t: t.reshape(*t.shape[:2], *self.before)),)


class Permuted(NoParameters):
    """Axes in another order, the batch axis in front."""

    def __init__(self, dims: Sequence[int]) -> None:
        self.dims = dims

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        self.order = [d % a.centre.dim() for d in self.dims]
        if self.order[0] != 0:
            raise Unsupported("no enclosure for a permutation of the batch axis")
        return a.moved(lambda t: t.permute(self.order))

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        back = [0, 1, *(self.order.index(d) + 1 for d in range(1, len(self.order)))]
        return (D.moved(lambda t: t.permute(back)),)


class Transposed(NoParameters):
    """Two axes swapped, neither the batch axis."""

    def __init__(self, dim0: int, dim1: int) -> None:
        self.dims = dim0, dim1

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        i, j = (d % a.centre.dim() for d in self.dims)
        if 0 in (i, j) and i != j:
            raise Unsupported("no enclosure for a transposition of the batch axis")
        self.axes = i, j
        return a.moved(lambda t: t.transpose(i, j))

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        i, j = self.axes
        return (D.moved(lambda t: t.transpose(i + 1, j + 1)) if i != j else D,)


@rule(nn.Flatten, torch.flatten, "flatten")
def flatten(input: Wire, start_dim: int | None = None, end_dim: int = -1) -> Reshaped:
    if start_dim is None:
        raise Unsupported("no enclosure for a flatten that includes the batch axis")
    return Reshaped(lambda t: t.flatten(start_dim, end_dim))


@rule("reshape", "view")
def reshape(input: Wire, *shape: Any) -> Reshaped:
    sizes = integers("a reshape", shape)
    return Reshaped(lambda t: t.reshape(sizes))


@rule(torch.reshape)
def reshape_function(input: Wire, shape: Any) -> Reshaped:
    sizes = integers("a reshape", (shape,))
    return Reshaped(lambda t: t.reshape(sizes))


@rule(nn.Unflatten)
def unflatten(input: Wire, dim: int, unflattened_size: Any) -> Reshaped:
    into = integers("a reshape", (unflattened_size,))
    return Reshaped(lambda t: torch.unflatten(t, dim, into))


@rule("unflatten", torch.unflatten)
def unflatten_function(input: Wire, dim: int, sizes: Any) -> Reshaped:
    into = integers("a reshape", (sizes,))
    return Reshaped(lambda t: torch.unflatten(t, dim, into))


@rule("unsqueeze", torch.unsqueeze)
def unsqueeze(input: Wire, dim: int) -> Reshaped:
    return Reshaped(lambda t: t.unsqueeze(dim))


@rule("squeeze", torch.squeeze)
def squeeze(input: Wire, dim: int | tuple[int, ...] | None = None) -> Reshaped:
    if dim is None:
        raise Unsupported("no enclosure for a squeeze of whichever axes are 1, the batch's among them")
    return Reshaped(lambda t: t.squeeze(dim))


@rule("permute")
def permute(input: Wire, *dims: Any) -> Permuted:
    return Permuted(integers("a permutation", dims))


@rule(torch.permute)
def permute_function(input: Wire, dims: Any) -> Permuted:
    return Permuted(integers("a permutation", (dims,)))


@rule("transpose", torch.transpose, "swapaxes", "swapdims")
def transpose(input: Wire, dim0: int, dim1: int) -> Transposed:
    return Transposed(dim0, dim1)


@rule(getattr)
def attribute(input: Wire, name: str) -> Transposed:
    if name not in ("mT", "mH"):
        raise Unsupported(f"no enclosure for the attribute {name!r} of a value")
    return Transposed(-2, -1)


@rule("adjoint", torch.adjoint)
def adjoint(input: Wire) -> Transposed:
    return Transposed(-2, -1)
