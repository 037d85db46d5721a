"""A glance at a weight's Jacobian: it never accepts what a look at each element would not."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Outer
from jaccheck.enclosure.probe import arithmetic

EVERY = slice(None)
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def recipe(
    seed: int, *, exact: bool, zeros: bool, dtype: torch.dtype, outputs: int = 3, exponents: tuple[int, int] = (0, 0)
) -> Outer:
    """Factors of one sample as a sweep leaves them: radii of some units around numbers of the dtype's range."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.finfo(dtype).eps / 2

    def ball(*shape: int, spread: float, exponent: int) -> Ball:
        centre = torch.randn(*shape, dtype=torch.float64, generator=generator) * 2.0**exponent
        if zeros:
            centre[torch.rand(*shape, generator=generator) < 0.3] = 0
        units = torch.rand(*shape, dtype=torch.float64, generator=generator) * 40 + 10
        return Ball(centre, units * u * centre.abs() * spread)

    left, right = exponents
    return Outer(
        ball(1, 2, outputs, spread=1.0, exponent=left), ball(1, 5, spread=0.0 if exact else 1.0, exponent=right)
    )


def product_of_rounded(outer: Outer, dtype: torch.dtype) -> torch.Tensor:
    left, right = (factor.centre.to(dtype).double() for factor in (outer.left, outer.right))
    return left[..., None] * right[:, None, None, :]


def exponents(dtype: torch.dtype) -> st.SearchStrategy[tuple[int, int]]:
    """Of two factors: none, or one among the smallest numbers, whose product with the other one is none of them."""
    lowest = round(math.log2(torch.finfo(dtype).smallest_normal))
    pair = st.tuples(st.integers(lowest - 12, lowest + 3), st.integers(16, 75))
    return st.one_of(st.just((0, 0)), pair, pair.map(lambda e: (e[1], e[0])))


@given(
    data=st.data(),
    seed=st.integers(0, 2**31),
    exact=st.booleans(),
    zeros=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    roundings=st.sampled_from((0, 6)),
    place=st.integers(0, 29),
    off=st.sampled_from((0.0, 0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 2.0, 1e3)),
    sign=st.sampled_from((-1, 1)),
)
def test_what_a_glance_accepts_is_inside(data, seed, exact, zeros, dtype, roundings, place, off, sign):
    fl = arithmetic(dtype, torch.device("cpu"))
    outer = recipe(seed, exact=exact, zeros=zeros, dtype=dtype, exponents=data.draw(exponents(dtype)))
    ball = fl.rounded(outer.rows(fl, EVERY, EVERY), roundings)
    value = product_of_rounded(outer, dtype) if data.draw(st.booleans()) else ball.centre.clone()
    value.view(-1)[place] += sign * off * ball.radius.view(-1)[place]
    value = value.to(dtype)
    if outer.glance(fl, value, EVERY, EVERY, roundings) is not None:
        assert not ball.excludes(value).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("zeros", [True, False])
def test_a_glance_accepts_the_product_itself(dtype, exact, zeros):
    """Or it would be of no use: each look closer costs ten times as much."""
    fl = arithmetic(dtype, torch.device("cpu"))
    outer = recipe(0, exact=exact, zeros=zeros, dtype=dtype)
    value = product_of_rounded(outer, dtype).to(dtype)
    assert outer.glance(fl, value, EVERY, EVERY, 0) is not None


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), 1e-30, 1e30])
def test_a_glance_rejects_what_is_not_finite_or_not_zero(wrong):
    fl = arithmetic(torch.float32, torch.device("cpu"))
    outer = recipe(0, exact=True, zeros=True, dtype=torch.float32)
    value = (outer.left.centre[..., None] * outer.right.centre[:, None, None, :]).float()
    zero = (value == 0).nonzero()[0]
    value[tuple(zero)] = wrong
    assert outer.glance(fl, value, EVERY, EVERY, 0) is None


def test_the_extent_covers_every_element():
    fl = arithmetic(torch.float32, torch.device("cpu"))
    outer = recipe(1, exact=False, zeros=False, dtype=torch.float32)
    ball = outer.rows(fl, EVERY, EVERY)
    extent = outer.glance(fl, ball.centre.float(), EVERY, EVERY, 0)
    assert extent is not None
    assert extent.largest >= ball.centre.abs().max()
    assert extent.widest >= ball.radius.max()
