"""The blocks of a network: a Linear, the activations behind it, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

from jaccheck._containers import Layer, Repeat, Residual, Sequential, Switch
from jaccheck._layers import Activation, Dropout, Linear

from ._choices import Choices
from .activations import PER_NAME, table
from .values import DIGITS, Recipe, recipes

SQUARE: dict[str, Callable[[tuple[Layer, ...], int], Layer]] = {
    "residual": lambda layers, times: Residual(layers),
    "reuse": Repeat,
    "tied": partial(Repeat, tied=True),
}
"""Of layers, and of how often they are used: their Linear keeps the width. One in another: "residual of tied"."""
SEVERAL = (*SQUARE, *SQUARE, *("dropout",) * 4, "functional")
"""Forms of which some networks have several blocks, and no others; in every second one Dropout isn't active."""
Built = tuple[str, tuple[str, ...]]
"""The form of a block, and which parameters of its Linear are frozen."""

OPTIONAL = ("residual", "reuse", "tied", "own", "functional", "switch", "dropout")
"""The forms that aren't drawn unless asked for."""
DROPPED = (*(0.5,) * 5, *(0.25,) * 2, *(0.1,) * 2, *(0.7,) * 2, *(0.9,) * 2, *(1.0,) * 3)
"""The share of elements that a Dropout drops."""

TIMES = (2, 2, 2, 3, 4)
"""How often a layer is used that is used again."""

_FROZEN = (("weight",), ("bias",), ("bias", "weight"))


@dataclass(frozen=True)
class Block:
    """A Linear, the activations behind it, and how the two are put together."""

    linear: Linear
    activations: tuple[Activation, ...]
    form: str
    extra: int = 0
    """What else the form leaves open, by 8 bits."""

    def layers(self, width: int) -> tuple[Layer, ...]:
        linear = replace(self.linear, width=width)
        inner: tuple[Layer, ...] = (linear, *self.activations)
        if self.form == "functional":
            return (linear, *(replace(activation, functional=True) for activation in self.activations))
        if self.form == "dropout":
            return (*inner, Dropout(DROPPED[self.extra % len(DROPPED)]))
        if self.form == "switch":
            return (Switch(inner, other=(Linear(width, DIGITS(self.extra), bias=None),)),)
        if square(self.form):
            outer, _, form = self.form.rpartition(" of ")
            layer = SQUARE[form](inner, TIMES[self.extra % len(TIMES)])
            return (SQUARE[outer]((layer,), 2) if outer else layer,)
        return inner if self.form == "plain" else (Sequential(inner, own=self.form == "own"),)


def built(optional: Sequence[str], frozen: bool) -> tuple[Built, ...]:
    """Forms and frozen parameters of blocks, the plain ones first."""
    forms, parts = ("nested", *optional), _FROZEN if frozen else ()
    found: list[Built] = [("plain", ())] * 70
    found += [(form, ()) for form in forms for _ in range(max(8, 30 // len(forms)))]
    found += [("plain", part) for part in parts for _ in range(3)]
    squares = [form for form in forms if square(form)]
    return (*found, *product(forms, parts), *((f"{outer} of {form}", ()) for outer in squares for form in squares))


def alike(form: str, frozen: bool) -> tuple[Built, ...]:
    """Two blocks in three of one form; of square ones every third stands in another."""
    forms = (form, form, f"{form} of {form}" if square(form) else form)
    found = list(product(forms, ((), (), ("weight",), *_FROZEN) if frozen else ((),)))
    return (*[("plain", ())] * (len(found) // 2), *found)


def square(form: str) -> bool:
    """Whether the Linear of such a block keeps the width."""
    return form.partition(" ")[0] in SQUARE


@cache
def behind(names: tuple[str, ...]) -> tuple[Activation | None, ...]:
    """Activations behind a Linear; None: there is none."""
    return _or_none(table(names), 0.08)


@cache
def extra(names: tuple[str, ...]) -> tuple[Activation | None, ...]:
    """Likewise before the first one, or right behind another activation."""
    return _or_none([table((name,))[i % PER_NAME] for i, name in enumerate(names)], 0.9)


def _or_none(activations: Sequence[Activation], none: float) -> tuple[Activation | None, ...]:
    return (*(None,) * (1 + round(none / (1 - none) * len(activations))), *activations)


@cache
def _biases(regime: str, dtype: str) -> tuple[Recipe | None, ...]:
    found = recipes(regime, "bias", dtype)
    return (*found, *(None,) * (len(found) // 4))  # None: a Linear without bias


def block(
    choices: Choices,
    regime: str,
    dtype: str,
    names: tuple[str, ...],
    widths: Sequence[int],
    forms: Sequence[Built],
) -> Block:
    """The block that `BYTES` bytes stand for; zeros: ``Linear(1)``, all zeros, with no activation behind it."""
    form, frozen = choices.pick(forms)
    activations = (choices.pick(behind(names)), choices.pick(extra(names)))
    width = choices.pick(widths)
    weight, bias = choices.pick(recipes(regime, "weight", dtype)), choices.pick(_biases(regime, dtype))
    weight_seed, bias_seed = choices.seed(), choices.seed()
    linear = Linear(
        width=0 if square(form) else width,
        weight=weight(weight_seed),
        bias=None if bias is None else bias(bias_seed),
        frozen=frozen if bias is not None else tuple(name for name in frozen if name == "weight"),
    )
    behind_it = tuple(activation for activation in activations if activation is not None)
    return Block(linear, behind_it, form, extra=choices.pick(range(256)))
