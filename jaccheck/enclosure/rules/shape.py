"""Calls that move elements about behind the batch axis."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.copied import Copied, chosen


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


class Concatenated(NoParameters):
    """Values side by side along a feature axis."""

    def __init__(self, parts: Sequence[Any], dim: int) -> None:
        if not all(isinstance(part, Wire) for part in parts):
            raise Unsupported("no enclosure for a concatenation with a constant")
        self.dim = dim

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        self.axis = self.dim % inputs[0].centre.dim()
        if self.axis == 0:
            raise Unsupported("no enclosure for a concatenation along the batch axis")
        self.sizes = [a.shape[self.axis] for a in inputs]
        return Ball(torch.cat([a.centre for a in inputs], self.axis), torch.cat([a.radius for a in inputs], self.axis))

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        axis, starts = self.axis + 1, [sum(self.sizes[:i]) for i in range(len(self.sizes))]

        def part(start: int, size: int) -> Ball:
            return D.moved(lambda t: t.narrow(axis, start, size))

        return tuple(part(start, size) for start, size in zip(starts, self.sizes, strict=True))


class Stacked(NoParameters):
    """Values side by side along a new axis."""

    def __init__(self, parts: Sequence[Any], dim: int) -> None:
        if not all(isinstance(part, Wire) for part in parts):
            raise Unsupported("no enclosure for a stack with a constant")
        self.dim = dim

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        self.axis = self.dim % (inputs[0].centre.dim() + 1)
        if self.axis == 0:
            raise Unsupported("no enclosure for a stack along a new first axis, which moves the samples")
        centres, radii = [a.centre for a in inputs], [a.radius for a in inputs]
        return Ball(torch.stack(centres, self.axis), torch.stack(radii, self.axis))

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return tuple(D.moved(partial(torch.select, dim=self.axis + 1, index=i)) for i in range(D.shape[self.axis + 1]))


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


@rule(nn.Flatten, torch.flatten, "flatten")
def flatten(input: Wire, start_dim: int | None = None, end_dim: int = -1) -> Reshaped:
    if start_dim is None:
        raise Unsupported("no enclosure for a flatten that includes the batch axis")
    return Reshaped(lambda t: t.flatten(start_dim, end_dim))


def _sizes(sizes: tuple[Any, ...]) -> list[int]:
    flat = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list, torch.Size)) else sizes
    if not all(isinstance(size, int) for size in flat):
        raise Unsupported("no enclosure for a reshape to sizes that depend on the input")
    return list(flat)


@rule("reshape", "view")
def reshape(input: Wire, *shape: Any) -> Reshaped:
    sizes = _sizes(shape)
    return Reshaped(lambda t: t.reshape(sizes))


@rule(torch.reshape)
def reshape_function(input: Wire, shape: Any) -> Reshaped:
    sizes = _sizes((shape,))
    return Reshaped(lambda t: t.reshape(sizes))


@rule(nn.Unflatten)
def unflatten(input: Wire, dim: int, unflattened_size: Any) -> Reshaped:
    into = _sizes((unflattened_size,))
    return Reshaped(lambda t: torch.unflatten(t, dim, into))


@rule("unflatten", torch.unflatten)
def unflatten_function(input: Wire, dim: int, sizes: Any) -> Reshaped:
    into = _sizes((sizes,))
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
    return Permuted(_sizes(dims))


@rule(torch.permute)
def permute_function(input: Wire, dims: Any) -> Permuted:
    return Permuted(_sizes((dims,)))


@rule("transpose", torch.transpose, "swapaxes", "swapdims")
def transpose(input: Wire, dim0: int, dim1: int) -> Transposed:
    return Transposed(dim0, dim1)


@rule(torch.cat, torch.concat, "concatenate")
def cat(tensors: Sequence[Any], dim: int = 0) -> Concatenated:
    return Concatenated(tensors, dim)


@rule(torch.hstack)
def hstack(tensors: Sequence[Any]) -> Concatenated:
    return Concatenated(tensors, 1)


@rule(torch.stack)
def stack(tensors: Sequence[Any], dim: int = 0) -> Stacked:
    return Stacked(tensors, dim)


@rule(operator.getitem)
def getitem(input: Wire, index: Any) -> Indexed | Copied:
    if isinstance(index, tuple) and any(isinstance(i, (list, Tensor)) for i in index):
        return chosen(index)
    return Indexed(index)


@rule(torch.narrow, "narrow")
def narrow(input: Wire, dim: int, start: int, length: int) -> Indexed:
    part = slice(start, None if start + length == 0 > start else start + length)
    return Indexed((*(slice(None) for _ in range(dim)), part) if dim >= 0 else (..., part, *[slice(None)] * (-dim - 1)))
