"""`Ball`'s promise, judged by exact rationals: a result of points, corners too, lies in the result of their balls."""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from jaccheck.enclosure.ball import Ball
from tests.enclosure.balls import balls, contains, not_finite_too, points_of, rows, says_nothing

PAIRS = st.integers(1, 3).flatmap(lambda n: st.tuples(balls(n), balls(n)))


def ball(centre: float, radius: float) -> Ball:
    return Ball(torch.tensor([centre], dtype=torch.float64), torch.tensor([radius], dtype=torch.float64))


@given(PAIRS, st.data())
@example((ball(1.7e308, 1e292), ball(1.7e308, 0.0)), None)  # it overflows
def test_a_sum(pair, data):
    X, Y = pair
    x, y = _points(X, data), _points(Y, data)
    assert contains(X + Y, [p + q for p, q in zip(x, y, strict=True)])


@given(st.integers(1, 3).flatmap(balls), st.data())
def test_negation_and_magnitude(X, data):
    x = _points(X, data)
    assert contains(-X, [-p for p in x])
    bounds = X.mag.flatten().tolist()
    assert all(bound == torch.inf or abs(p) <= Fraction(bound) for bound, p in zip(bounds, x, strict=True))


@given(
    st.tuples(*[st.integers(1, 4)] * 3).flatmap(lambda s: st.tuples(balls(s[0], s[1]), balls(s[1], s[2]))), st.data()
)
def test_every_matrix_product(pair, data):
    X, Y = pair
    x, y = rows(_points(X, data), X.shape[1]), rows(_points(Y, data), Y.shape[1])
    exact = [
        sum((p * q for p, q in zip(row, column, strict=True)), Fraction(0))
        for row in x
        for column in zip(*y, strict=True)
    ]
    assert contains(X @ Y, exact)


def _points(X: Ball, data: st.DataObject | None) -> list[Fraction]:
    """A point drawn, or the upper corner."""
    if data is not None:
        return data.draw(points_of(X))
    parts = zip(X.centre.flatten().tolist(), X.radius.flatten().tolist(), strict=True)
    return [Fraction(c) + Fraction(r) for c, r in parts]


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.tuples(*[balls(n, centres=not_finite_too, radii=not_finite_too.map(abs))] * 2)
    )
)
def test_nothing_finite_is_claimed_of_a_sum_with_what_is_not(pair):
    unknown = [~(X.centre.isfinite() & X.radius.isfinite()) for X in pair]
    assert says_nothing(pair[0] + pair[1], unknown[0] | unknown[1])


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.tuples(*[balls(n, n, centres=not_finite_too, radii=not_finite_too.map(abs))] * 2)
    )
)
def test_nothing_finite_is_claimed_of_a_matrix_product_with_what_is_not(pair):
    unknown = [~(X.centre.isfinite() & X.radius.isfinite()) for X in pair]
    row, column = unknown[0].any(1), unknown[1].any(0)
    assert says_nothing(pair[0] @ pair[1], row[:, None] | column[None, :])


@given(st.integers(1, 3).flatmap(lambda n: st.tuples(balls(n), balls(n, radii=st.just(0.0)))))
def test_only_what_is_outside_is_excluded(pair):
    X, values = pair
    excluded = X.excludes(values.centre)
    inside = [contains(X[i : i + 1], [Fraction(v)]) for i, v in enumerate(values.centre.tolist())]
    assert not any(e and i for e, i in zip(excluded.tolist(), inside, strict=True))


def test_what_is_clearly_outside_is_excluded():
    X = ball(1.0, 2.0**-24)
    assert X.excludes(torch.tensor([1 + 2.0**-23])).all()
    assert not X.excludes(torch.tensor([1 + 2.0**-24], dtype=torch.float64)).any()
    assert X.excludes(torch.tensor([torch.nan])).all()
    assert X.excludes(torch.tensor([torch.inf])).all()


def test_the_judge_notices_a_radius_too_small_by_one_bit():
    corner = [Fraction(1.5) + Fraction(3.25)]
    assert contains(ball(4.0, 0.75), corner)
    assert not contains(ball(4.0, 0.75 - 2.0**-53), corner)
