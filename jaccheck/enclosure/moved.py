"""Parameters whose elements are put elsewhere before they are used: reshaped, expanded, indexed, transposed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Jacobian, LookCloser
from jaccheck.enclosure.rules import Rule
from jaccheck.enclosure.rules.copied import Copied

MOVES = {*"view reshape flatten unflatten unsqueeze squeeze expand broadcast_to repeat tile".split()}  # noqa: SIM905
MOVES |= {*"permute transpose swapaxes swapdims movedim t adjoint getattr getitem select narrow".split()}  # noqa: SIM905
MOVES |= {*"index_select flip roll chunk split tensor_split unbind contiguous clone".split()}  # noqa: SIM905
"""Functions and methods that copy elements, and round nothing."""
ADDING = {"getitem", "index_select"}
"""Those of them whose derivatives add one term after the other, and round each sum; the others' sum along axes."""


@dataclass(frozen=True)
class Move:
    """One call that copies elements."""

    run: Callable[[Tensor], Tensor]
    adds: bool = False

    def numbered(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Of each place the number of the element of `shape` that comes there."""
        return self.run(torch.arange(math.prod(shape), device=device).view(*shape))


@dataclass(frozen=True, eq=False)
class Moved:
    """A parameter of which each element has come to some places, or to none, by one move after the other."""

    parameter: Tensor
    moves: tuple[Move, ...] = ()

    def move(self, t: Tensor) -> Tensor:
        """What comes of `t` in the parameter's place."""
        for one in self.moves:
            t = one.run(t)
        return t

    def through(self, move: Callable[[Tensor], Tensor], *, adds: bool = False) -> Moved:
        return Moved(self.parameter, (*self.moves, Move(move, adds)))

    def of(self, stand_in: Callable[[Tensor], Tensor]) -> Moved:
        """What another parameter in the same role comes to."""
        return Moved(stand_in(self.parameter), self.moves)

    @cached_property
    def source(self) -> Tensor:
        """Of each place the number of its element."""
        return Move(self.move).numbered(self.parameter.shape, self.parameter.device)

    @cached_property
    def sums(self) -> int:
        """How many sums, one after the other and each rounded, a term of an element's derivative takes part in.

        A move that has put an element in k places adds k terms: one by one; or along all axes at once, but for those
        that are new, of which torch, as its own `repeat` has it, takes one after the other.
        """
        sums, shape = 0, self.parameter.shape
        for move in self.moves:
            source = move.numbered(shape, self.parameter.device)
            additions = max(0, int(source.flatten().bincount(minlength=1).max()) - 1)
            sums += additions if move.adds else min(additions, 1 + max(0, source.dim() - len(shape)))
            shape = source.shape
        return sums

    @cached_property
    def value(self) -> Tensor:
        """What takes its place where it is used, with an identity of its own."""
        with torch.inference_mode(False), torch.no_grad():
            value = self.move(self.parameter.detach()).clone()
        return value.requires_grad_(self.parameter.requires_grad)


@dataclass(frozen=True, eq=False)
class Gathered(LookCloser):
    """The Jacobian of a parameter, of that of its moved elements: each sums those of the places it has come to."""

    jacobian: Jacobian
    moved: Moved

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        places = self.moved.source.flatten()
        copied = Copied(lambda shape: lambda t: t.reshape(len(t), -1)[:, places], reduced=True)
        copied.forward(fl, Ball.exact(self.moved.parameter[None]))
        (J,) = copied.vjp(fl, self.jacobian.rows(fl, n, c))
        return fl.rounded(J, max(0, self.moved.sums - 1))  # J has rounded one sum, or has none


@dataclass(frozen=True, eq=False)
class OfMoved:
    """The rule of a call that is applied to moved parameters, of the `rule` for their values."""

    rule: Rule
    moved: Mapping[int, Moved]  # by the value's identity

    def forward(self, fl: Arithmetic, *inputs: Ball) -> Ball:
        return self.rule.forward(fl, *inputs)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        return self.rule.vjp(fl, D)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        return tuple(
            (self.moved[id(p)].parameter, Gathered(J, self.moved[id(p)])) if id(p) in self.moved else (p, J)
            for p, J in self.rule.jacobians(fl, D)
        )

    @property
    def gain(self) -> float:
        return self.rule.gain

    @property
    def tangent_loss(self) -> Tensor | float:
        return self.rule.tangent_loss


def moved(name: str, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call makes of a parameter or constant whose elements it copies: `Moved`, a constant, or some of these."""
    if name not in MOVES or not args or (name == "getattr" and args[1] not in ("T", "mT", "H", "mH")):
        return None
    first, rest = args[0], args[1:]
    if isinstance(first, Tensor) and not first.requires_grad:
        return run(*args, **kwargs)
    if isinstance(first, Tensor) and first.is_leaf:
        first = Moved(first)
    if not isinstance(first, Moved):
        return None

    def move(t: Tensor) -> Any:
        return run(t, *rest, **kwargs)

    def part(i: int) -> Callable[[Tensor], Tensor]:
        return lambda t: move(t)[i]

    found = move(first.source)
    if isinstance(found, Tensor):
        return first.through(move, adds=name in ADDING)
    return tuple(first.through(part(i)) for i in range(len(found)))
