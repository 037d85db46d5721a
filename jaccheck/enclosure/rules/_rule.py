"""What a rule is: one call in a model's graph, as the textbook has it, in ball arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Jacobian


@dataclass(frozen=True)
class Wire:
    """A value in the graph: a call's argument that depends on the model's input."""

    index: int


class Rule(Protocol):
    """One call: its forward, the product with its transposed derivative, and its parameters' Jacobians.

    A rule serves one sweep: `vjp` and `jacobians` may use what `forward` kept.
    """

    @property
    def forward(self) -> Callable[..., Ball]:
        """``forward(fl, *inputs)``: the value of the call, ``[N, *features]``, for its wires' values in their order."""

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        """From ∂f/∂(value) ``[N, C, *features]`` to ∂f/∂(input), one for each wire."""

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        """For each parameter of the call ∂f/∂p, ``[N, C, *p.shape]``."""

    @property
    def gain(self) -> float:
        """How many times an input's tangent one of the value can be, or what leads to it, in the largest element."""

    @property
    def tangent_loss(self) -> Tensor | float:
        """What a tangent loses on its way through the call as its products underflow one by one, in units of η.

        A number, or broadcast against ``[N, C, *features]``. A few, and one for each term of a sum, may be left out.
        """


@runtime_checkable
class Random(Protocol):
    """A rule whose call leaves something to chance."""

    def drawn(self, value: Tensor) -> Tensor:
        """What torch makes of `value`, the input in torch; `forward` keeps to what was drawn."""


class NoParameters:
    """The part that most rules without parameters have in common."""

    @property
    def gain(self) -> float:
        return 1.0

    @property
    def tangent_loss(self) -> Tensor | float:
        return 0.0

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        return ()


def same_dtype(what: str, dtype: object) -> None:
    """Refuse a call that asks for a dtype of its own."""
    if dtype is not None:
        raise Unsupported(f"no enclosure for {what} in another dtype")


Factory = Callable[..., Rule]
TABLE: dict[Any, Factory] = {}


def rule(*targets: Any) -> Callable[[Factory], Factory]:
    """Make a function the rule of `targets`: layer classes, functions, and names of tensor methods.

    A function is called with the arguments of the call, where a `Wire` stands for each value of the graph; for a
    layer, with one wire and the layer's attributes of its parameters' names.
    """

    def entered(factory: Factory) -> Factory:
        TABLE.update(dict.fromkeys(targets, factory))
        return factory

    return entered
