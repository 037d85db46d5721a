"""Calls that copy elements of each sample to other places: by constant indices, turned about, or several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule


class Copied(NoParameters):
    """Each element of a sample is one of the input's, ``z[m] = a[s(m)]``: ``∂f/∂a[k]`` sums ``∂f/∂z[m]`` over s(m) = k.

    `copy` is told the input's shape and makes what copies elements, behind the batch axis. The sums are `reduced` as
    those of other axes are, or numbers of the dtype to which one term after the other is added.
    """

    def __init__(self, copy: Callable[[torch.Size], Callable[[Tensor], Tensor]], *, reduced: bool = False) -> None:
        self.copy, self.reduced = copy, reduced

    def forward(self, fl: Arithmetic, a: Ball) -> Ball:
        self.before = a.shape[1:]
        move = self.copy(a.shape)
        number = self.before.numel()
        self.source = move(torch.arange(number, device=a.centre.device).view(1, *self.before)).flatten()
        self.most = int(self.source.bincount(minlength=1).max())
        return a.moved(move)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, *features] -> [N, C, *before]
        if self.most <= 1:  # nothing is added
            return (D.moved(self._gathered),)
        mag = self._gathered(D.mag)
        gamma = fl.gamma_sum(self.most) if self.reduced else fl.gamma(self.most)
        radius = self._gathered(D.radius).add_(mag, alpha=gamma)
        total = Ball(self._gathered(D.centre), radius, None if D.reach is None else mag)
        return (fl.within(fl.rounded(total), mag),)

    def _gathered(self, t: Tensor) -> Tensor:
        whole = t.new_zeros(*t.shape[:2], self.before.numel())
        return whole.index_add_(2, self.source, t[..., None].flatten(2)).view(*t.shape[:2], *self.before)


def behind_the_batch(what: str, dims: Sequence[int], axes: int) -> list[int]:
    """`dims` as axes from the front, of which none is the batch's."""
    found = [dim % axes for dim in dims]
    if 0 in found:
        raise Unsupported(f"no enclosure for {what} along the batch axis")
    return found


def integers(what: str, given: tuple[Any, ...]) -> list[int]:
    """The arguments of a call that takes them one by one, or together as a list."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list, torch.Size)) else given
    if not all(isinstance(number, int) for number in flat):
        raise Unsupported(f"no enclosure for {what} by numbers that depend on the input")
    return list(flat)


def chosen(index: Sequence[Any]) -> Copied:
    """Of one axis behind the batch's the elements that a list or a constant tensor names, and slices of others."""
    index = tuple(index)
    named = [i for i in index if isinstance(i, (list, Tensor))]
    slices = all(i is None or i is Ellipsis or isinstance(i, (slice, list, Tensor)) for i in index)
    first = index[0] is Ellipsis or (isinstance(index[0], slice) and index[0] == slice(None))
    if len(named) != 1 or not _places(named[0]) or not slices or not first:
        raise Unsupported("no enclosure for an index that isn't one list of places behind the batch axis")

    def copy(shape: torch.Size) -> Callable[[Tensor], Tensor]:
        if index[0] is Ellipsis and sum(i is not None and i is not Ellipsis for i in index) >= len(shape):
            raise Unsupported("no enclosure for an index of the batch axis")
        return lambda t: t[index]

    return Copied(copy)


def _places(index: Any) -> bool:
    """Whether it is one axis of whole numbers, or says of each place whether it is meant."""
    if isinstance(index, Tensor):
        return index.dim() == 1 and not index.is_floating_point()
    return bool(index) and all(isinstance(i, int) for i in index)


@rule(torch.index_select, "index_select")
def index_select(input: Wire, dim: int, index: Any) -> Copied:
    if not isinstance(index, Tensor):
        raise Unsupported("no enclosure for an index_select by what depends on the input")

    def copy(shape: torch.Size) -> Callable[[Tensor], Tensor]:
        (axis,) = behind_the_batch("an index_select", [dim], len(shape))
        return lambda t: t.index_select(axis, index)

    return Copied(copy)


def _flipped(dims: tuple[Any, ...]) -> Copied:
    numbers = integers("a flip", dims)

    def copy(shape: torch.Size) -> Callable[[Tensor], Tensor]:
        behind = behind_the_batch("a flip", numbers, len(shape))
        return lambda t: t.flip(behind)

    return Copied(copy)


@rule("flip")
def flip(input: Wire, *dims: Any) -> Copied:
    return _flipped(dims)


@rule(torch.flip)
def flip_function(input: Wire, dims: Any) -> Copied:
    return _flipped((dims,))


@rule(torch.roll, "roll")
def roll(input: Wire, shifts: Any, dims: Any = None) -> Copied:
    if dims is None or dims in ((), []):
        raise Unsupported("no enclosure for a roll over all axes, the batch's among them")
    by, along = integers("a roll", (shifts,)), integers("a roll", (dims,))

    def copy(shape: torch.Size) -> Callable[[Tensor], Tensor]:
        behind = behind_the_batch("a roll", along, len(shape))
        return lambda t: t.roll(by, behind)

    return Copied(copy)


@rule("expand")
def expand(input: Wire, *sizes: Any) -> Copied:
    numbers = integers("an expansion", sizes)

    def copy(shape: torch.Size) -> Callable[[Tensor], Tensor]:
        if len(numbers) != len(shape) or numbers[0] not in (-1, shape[0]):
            raise Unsupported("no enclosure for an expansion of the batch axis, or to more axes")
        return lambda t: t.expand(-1, *numbers[1:])

    return Copied(copy, reduced=True)


@rule("repeat")
def repeat(input: Wire, *repeats: Any) -> Copied:
    numbers = integers("a repetition", repeats)

    def copy(shape: torch.Size) -> Callable[[Tensor], Tensor]:
        if len(numbers) != len(shape) or numbers[0] != 1:
            raise Unsupported("no enclosure for a repetition of samples, or along more axes, which moves them")
        return lambda t: t.repeat(numbers)

    return Copied(copy, reduced=True)
