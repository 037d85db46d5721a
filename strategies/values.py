"""Numbers that a dtype finds easy, and those that it finds hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from jaccheck._values import FORMATS, ZEROS, Number, Values

from ._choices import Choices
from .targets import chosen

REGIMES = ("integers", "ordinary", "saturated", "extreme", "nonfinite")
"""What the numbers of a network are like.

- ``"integers"``: small integers and powers of two, many zeros: exact in every dtype, and often at a kink.
- ``"ordinary"``: evenly distributed, of a size that keeps the layers' outputs near 1.
- ``"saturated"``: larger and smaller ones, dead layers, magnitudes far apart.
- ``"extreme"``: up to overflow, and down to the subnormals.
- ``"nonfinite"``: ordinary, but for NaN or an infinity in the input (see `special`).
"""
FREQUENCY = {"integers": 6, "ordinary": 7, "saturated": 3, "extreme": 3, "nonfinite": 2}
ROLES = ("weight", "bias", "x")

SEEDS = st.integers(0, 2**32 - 1)
_SMALL: tuple[Number, ...] = (0, 1, -1, 2, -2, 3, -3, 4)


@dataclass(frozen=True)
class Recipe:
    """`Values` but for their seed; without a `kind` the seed's octal digits, lowest first, say which small integers.

    Seed 0 gives zeros, whatever the recipe: so numbers other than zero shrink to small integers, the first recipe.
    """

    kind: str | None = None
    numbers: tuple[Number, ...] = ()
    exponent: int = 0
    rows: int = 0

    def __call__(self, seed: int) -> Values:
        if seed == 0:
            return ZEROS
        if self.kind is None:
            numbers = tuple(_SMALL[(seed >> shift) & 7] for shift in range(0, seed.bit_length(), 3))
            return Values(numbers=numbers, exponent=self.exponent, rows=self.rows)
        drawn = 0 if self.kind == "cycle" else seed
        return Values(self.kind, self.numbers, drawn, self.exponent, self.rows)


DIGITS = Recipe()
_INTEGERS = Recipe("choice", _SMALL[:-1])
_SPARSE = Recipe("choice", (0, 0, 0, 1, -1))
_SIGNS = Recipe("choice", (1, -1))
_POWERS = Recipe("choice", (1, -1, 2, -2, 0.5, -0.5, 0.25, -0.25))
_HALVES = Recipe(exponent=-1)
_ZEROS = Recipe("cycle")
_UNIFORM = Recipe("uniform")
_SMALLER = Recipe("uniform", exponent=-1)
_WIDE = Recipe("wide")
_SAME_ROWS = Recipe("uniform", rows=1)
_TWO_ROWS = Recipe("uniform", rows=2)


def _scaled(*exponents: int) -> tuple[Recipe, ...]:
    return tuple(Recipe("uniform", exponent=exponent) for exponent in exponents)


@cache
def recipes(regime: str, role: str, dtype: str) -> tuple[Recipe, ...]:
    """The recipes of a regime, as often as they are to be drawn; the first gives zeros and small integers."""
    form = FORMATS[dtype]
    if regime == "integers":
        if role == "bias":
            return (DIGITS,) * 4 + (_ZEROS,) * 2 + (_INTEGERS, _SIGNS)
        return (DIGITS,) * 4 + (_INTEGERS,) * 3 + (_SPARSE, _SPARSE, _SIGNS, _POWERS, _HALVES, _ZEROS, Recipe(rows=1))
    if role == "bias":
        ordinary: tuple[Recipe, ...] = (DIGITS, _ZEROS, _ZEROS, *(_SMALLER,) * 4, _UNIFORM)
    else:
        ordinary = (DIGITS, _INTEGERS, *(_UNIFORM,) * 10, *_scaled(-1, 1), _SAME_ROWS, _TWO_ROWS)
    if regime == "saturated":
        dead = tuple(Recipe("cycle", (sign,), exponent) for sign in (-1, 1) for exponent in (4, 7))
        larger = (Recipe(exponent=3), Recipe(exponent=6), *(dead if role == "bias" else ()))
        return (*ordinary, *larger, *_scaled(3, 5, 7, -5, -9), _WIDE, _WIDE)
    if regime == "extreme":
        ends = (form.highest - 2, form.highest - 1, form.highest // 2, form.lowest // 2)
        subnormal = (form.lowest + 2, form.lowest + form.precision - 1, form.lowest + form.precision // 2)
        small = (Recipe(exponent=form.highest - 2), Recipe(exponent=form.lowest))
        return (*ordinary, *small, *_scaled(*ends, *subnormal), Recipe("wide", exponent=form.lowest // 2))
    return ordinary


def values(dtype: str = "float64", role: str = "weight", regimes: Sequence[str] = REGIMES) -> SearchStrategy[Values]:
    """Numbers for one tensor: a ``"weight"``, a ``"bias"`` or ``"x"``; they shrink to zeros and few small integers.

    Raises:
        InvalidArgument: an unknown dtype, role or regime (see `REGIMES`).
    """
    chosen("dtype", (dtype,), tuple(FORMATS))
    chosen("role", (role,), ROLES)
    regimes = chosen("regimes", regimes, REGIMES)
    table = tuple(recipe for regime in ordered(regimes) for recipe in recipes(regime, role, dtype))
    recipe = st.sampled_from(table)

    @st.composite
    def numbers(draw: st.DrawFn) -> Values:
        return draw(recipe)(draw(SEEDS))

    return numbers()


def special(choices: Choices, dtype: str, *, finite: bool) -> tuple[tuple[int, Number], ...]:
    """What to `put` into the input, by four bytes: NaN, infinities, now and then numbers at the dtype's ends.

    The first is NaN for zeros, the second, if there is one, stands at another place. Where all shall be `finite`, there
    may be none, and those at the ends are what makes one sample overflow.
    """
    form = FORMATS[dtype]
    ends: tuple[Number, ...] = (
        (2.0 - 2.0 ** (1 - form.precision)) * 2.0 ** (form.highest - 1),  # the largest number
        -(2.0 ** (form.highest - 1)),
        2.0**form.lowest,  # the smallest
        "-0.0",
    )
    numbers: tuple[Number | None, ...] = (*("nan",) * 4, *("inf", "-inf") * 3, *ends)
    if finite:
        numbers = (None, None, *ends[:2], *ends)
    places = range(64)
    first = (choices.pick(places), choices.pick(numbers))
    second = (choices.pick(places), choices.pick((None,) * len(numbers) + numbers))
    return tuple((place, number) for place, number in (first, second) if number is not None)


def ordered(regimes: Sequence[str]) -> tuple[str, ...]:
    """Each as often as it is to be drawn, the simplest first."""
    return tuple(regime for regime in REGIMES if regime in regimes for _ in range(FREQUENCY[regime]))
