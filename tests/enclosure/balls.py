"""Balls, and exact rational points of them, corners included."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf, isfinite, isinf, isnan, nan

import torch
from hypothesis import strategies as st

from jaccheck.enclosure.ball import Ball

Rows = list[list[Fraction]]

# Finite numbers of every size, and those at which float64 itself rounds, underflows or is about to overflow.
_HARD = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    1 + 2.0**-52,
    1 - 2.0**-53,
    2.0**-1074,
    -(2.0**-1074),
    2.0**-1022,
    2.0**-537,
    2.0**-600,
    1e-30,
)
finite = st.one_of(
    st.integers(-4, 4).map(float),
    st.sampled_from(_HARD),
    st.floats(-1e3, 1e3),
    st.floats(allow_nan=False, allow_infinity=False),
)
radii = st.one_of(st.just(0.0), st.sampled_from([abs(t) for t in _HARD]), finite.map(abs))


def balls(
    *shape: int, centres: st.SearchStrategy[float] = finite, radii: st.SearchStrategy[float] = radii
) -> st.SearchStrategy[Ball]:
    """Balls of `shape`; they shrink to 0 ± 0."""
    count = int(torch.Size(shape).numel())

    def tensors(elements: st.SearchStrategy[float]) -> st.SearchStrategy[torch.Tensor]:
        lists = st.lists(elements, min_size=count, max_size=count)
        return lists.map(lambda values: torch.tensor(values, dtype=torch.float64).reshape(shape))

    return st.builds(Ball, tensors(centres), tensors(radii))


not_finite_too = st.one_of(finite, st.sampled_from([inf, -inf, nan]))


def points_of(ball: Ball) -> st.SearchStrategy[list[Fraction]]:
    """One point of a ball of finite numbers, flat: each element an end of its interval, its middle, or between."""
    share = st.one_of(
        st.sampled_from([Fraction(-1), Fraction(1), Fraction(0)]), st.fractions(-1, 1, max_denominator=2**60)
    )
    parts = list(zip(ball.centre.flatten().tolist(), ball.radius.flatten().tolist(), strict=True))
    shares = st.lists(share, min_size=len(parts), max_size=len(parts))
    return shares.map(lambda s: [Fraction(c) + t * Fraction(r) for (c, r), t in zip(parts, s, strict=True)])


def rows(flat: Sequence[Fraction], width: int) -> Rows:
    return [list(flat[i : i + width]) for i in range(0, len(flat), width)]


def contains(ball: Ball, exact: Sequence[Fraction]) -> bool:
    """Whether each of `exact` lies in its ball, of which a radius of inf or nan claims nothing."""
    parts = zip(ball.centre.flatten().tolist(), ball.radius.flatten().tolist(), exact, strict=True)
    return all(not isfinite(r) or (isfinite(c) and abs(Fraction(c) - t) <= Fraction(r)) for c, r, t in parts)


def says_nothing(ball: Ball, where: torch.Tensor) -> bool:
    """Whether no element of `where` is claimed to be a finite number."""
    parts = zip(ball.centre[where].tolist(), ball.radius[where].tolist(), strict=True)
    return all(isinf(r) or isnan(r) or not isfinite(c) for c, r in parts)
