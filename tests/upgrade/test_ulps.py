"""The distance in numbers between, against Python's and torch's own next number."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan, nextafter

import torch

from jaccheck.upgrade.ulps import ulps


def apart(a: float, b: float, dtype: torch.dtype = torch.float64) -> float:
    return float(ulps(torch.tensor(a, dtype=dtype), torch.tensor(b, dtype=dtype)))


def test_the_next_number_is_one_step_away():
    for x in (0.0, 5e-324, 1.0, -1.0, 1.7976931348623157e308, 2.2250738585072014e-308, -3.5):
        for towards in (inf, -inf):
            assert apart(x, nextafter(x, towards)) == (0 if nextafter(x, towards) == x else 1)
    assert apart(5e-324, -5e-324) == 2


def test_all_numbers_of_16_bits_in_their_order():
    for dtype in (torch.float16, torch.bfloat16):
        every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
        numbers = every[every.isfinite()].unique()  # 0 and -0 once
        assert set(ulps(numbers[:-1], numbers[1:]).tolist()) == {1.0}
        assert float(ulps(numbers[:1], numbers[-1:])) == len(numbers) - 1


def test_zeros_are_equal_and_so_are_nans():
    assert apart(0.0, -0.0) == apart(nan, nan) == apart(inf, inf) == 0
    assert apart(nan, 1.0) == apart(1.0, nan) == inf
    assert apart(inf, -inf) == 2 * (0x7FF << 52)


def test_a_difference_on_one_side_of_zero_is_exact_in_float64():
    big = [1.7e308, nextafter(1.7e308, 0), nextafter(nextafter(1.7e308, 0), 0)]
    assert [apart(a, b) for a, b in pairwise(big)] == [1, 1]
