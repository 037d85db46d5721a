"""The blocks of a network: a Linear, the activations behind it, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from jaccheck._layers import Activation, Dropout, Layer, Linear, Repeat, Residual, Sequential

from .activations import PER_NAME, table
from .values import SEEDS, Recipe, recipes


@dataclass(frozen=True)
class Block:
    """A Linear, the activations behind it, and how the two are put together."""

    linear: Linear
    activations: tuple[Activation, ...]
    form: str

    def layers(self, width: int) -> tuple[Layer, ...]:
        linear = replace(self.linear, width=width)
        inner: tuple[Layer, ...] = (linear, *self.activations)
        if self.form == "functional":
            return (linear, *(replace(activation, functional=True) for activation in self.activations))
        if self.form == "dropout":
            return (*inner, Dropout())
        if self.form in SQUARE:
            return (SQUARE[self.form](inner),)
        return inner if self.form == "plain" else (Sequential(inner, own=self.form == "own"),)


SQUARE: dict[str, Callable[[tuple[Layer, ...]], Layer]] = {  # their Linear keeps the width
    "residual": Residual,
    "reuse": Repeat,
    "tied": partial(Repeat, tied=True),
}
Built = tuple[str, tuple[str, ...]]
"""The form of a block, and which parameters of its Linear are frozen."""
_FROZEN = (("weight",), ("bias",), ("bias", "weight"))


def built(optional: Sequence[str], frozen: bool) -> list[Built]:
    """Forms and frozen parameters of blocks, the plain ones first."""
    forms, parts = ("nested", *optional), _FROZEN if frozen else ()
    found: list[Built] = [("plain", ())] * 70
    found += [(form, ()) for form in forms for _ in range(8)]
    found += [("plain", part) for part in parts for _ in range(3)]
    return found + list(product(forms, parts))


Activations = SearchStrategy[tuple[Activation, ...]]
"""No activation, or one."""


@cache
def hidden(names: tuple[str, ...]) -> Activations:
    return _or_none(table(names), 0.08)


@cache
def last(names: tuple[str, ...]) -> Activations:
    return _or_none(table(names)[::2], 0.6)


@cache
def first(names: tuple[str, ...]) -> Activations:
    return _or_none([table((name,))[i % PER_NAME] for i, name in enumerate(names)], 0.9)


def _or_none(activations: Sequence[Activation], none: float) -> Activations:
    nothing: list[tuple[Activation, ...]] = [()] * (1 + round(none / (1 - none) * len(activations)))
    return st.sampled_from(nothing + [(activation,) for activation in activations])


@cache
def _recipes(regime: str, role: str, dtype: str) -> SearchStrategy[Recipe | None]:
    found = recipes(regime, role, dtype)
    none = (None,) * (len(found) // 4 if role == "bias" else 0)  # a Linear without bias
    return st.sampled_from((*found, *none))


def blocks(
    regime: str,
    dtype: str,
    widths: SearchStrategy[int],
    names: tuple[str, ...],
    activations: Activations,
    built: SearchStrategy[Built],
) -> SearchStrategy[Block]:
    """They shrink to ``Linear(1)``, all zeros, with no activation behind it."""
    weights, biases = _recipes(regime, "weight", dtype), _recipes(regime, "bias", dtype)
    return st.builds(_block, widths, activations, first(names), weights, SEEDS, biases, SEEDS, built)


def _block(
    width: int,
    activation: tuple[Activation, ...],
    another: tuple[Activation, ...],
    weight: Recipe,
    weight_seed: int,
    bias: Recipe | None,
    bias_seed: int,
    built: Built,
) -> Block:
    form, frozen = built
    linear = Linear(
        width=0 if form in SQUARE else width,
        weight=weight(weight_seed),
        bias=None if bias is None else bias(bias_seed),
        frozen=frozen if bias is not None else tuple(name for name in frozen if name == "weight"),
    )
    return Block(linear, (*activation, *another), form)
