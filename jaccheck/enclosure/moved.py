"""Parameters whose elements are put elsewhere before they are used: reshaped, expanded, indexed, transposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, eq=False)
class Moved:
    """A parameter of which each element has come to some places, or to none."""

    parameter: Tensor
    move: Callable[[Tensor], Tensor]

    def through(self, move: Callable[[Tensor], Tensor]) -> Moved:
        return Moved(self.parameter, lambda t: move(self.move(t)))

    def of(self, stand_in: Callable[[Tensor], Tensor]) -> Moved:
        """What another parameter in the same role comes to."""
        return Moved(stand_in(self.parameter), self.move)

    @cached_property
    def source(self) -> Tensor:
        """Of each place the number of its element."""
        return self.move(torch.arange(self.parameter.numel(), device=self.parameter.device).view(self.parameter.shape))

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
        # One move after the other sums k terms of one element and rounds: the product of all k is `most`, so that there
        # are no more than log2(most) such moves, and their sum is no more than `most`, of which one sum is in J.
        return fl.rounded(J, copied.most.bit_length() - 1) if copied.most > 1 else J


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
        first = Moved(first, lambda t: t)
    if not isinstance(first, Moved):
        return None

    def move(t: Tensor) -> Any:
        return run(t, *rest, **kwargs)

    def part(i: int) -> Callable[[Tensor], Tensor]:
        return lambda t: move(t)[i]

    found = move(first.source)
    if isinstance(found, Tensor):
        return first.through(move)
    return tuple(first.through(part(i)) for i in range(len(found)))
