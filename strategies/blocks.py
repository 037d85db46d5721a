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


def _share(lists: list[tuple[Activation, ...]], none: float) -> SearchStrategy[tuple[Activation, ...]]:
    """One of `lists`, or no activation."""
    return st.sampled_from([(), *[()] * round(none / (1 - none) * len(lists)), *lists])


@cache
def hidden_activations(names: tuple[str, ...]) -> SearchStrategy[tuple[Activation, ...]]:
    one = table(names)
    pairs = [(one[i], one[(7 * i + 5) % len(one)]) for i in range(0, len(one), 6)]
    return _share([(activation,) for activation in one] + pairs, 0.08)


@cache
def last_activations(names: tuple[str, ...]) -> SearchStrategy[tuple[Activation, ...]]:
    return _share([(activation,) for activation in table(names)[::2]], 0.6)


@cache
def first_activations(names: tuple[str, ...]) -> SearchStrategy[tuple[Activation, ...]]:
    return _share([(table((name,))[i % PER_NAME],) for i, name in enumerate(names)], 0.9)


@cache
def _recipes(regime: str, role: str, dtype: str) -> SearchStrategy[Recipe | None]:
    found = recipes(regime, role, dtype)
    none = (None,) * (len(found) // 4 if role == "bias" else 0)  # a Linear without bias
    return st.sampled_from((*found, *none))


def blocks(
    regime: str,
    dtype: str,
    widths: SearchStrategy[int],
    activations: SearchStrategy[tuple[Activation, ...]],
    built: SearchStrategy[Built],
) -> SearchStrategy[Block]:
    """They shrink to ``Linear(1)``, all zeros, with the first of `activations`."""
    weights, biases = _recipes(regime, "weight", dtype), _recipes(regime, "bias", dtype)
    return st.builds(_block, widths, activations, weights, SEEDS, biases, SEEDS, built)


def _block(
    width: int,
    activations: tuple[Activation, ...],
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
    return Block(linear, activations, form)
