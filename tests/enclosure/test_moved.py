"""Elements of parameters that come to several places: the sums of their derivatives, as each move adds them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jaccheck
from tests.sums import skip_where_rounded_each_time

PATHS = ("autograd", "autograd_batched", "vmap_jacrev", "vmap_jacfwd")
UNIT = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}
PLACES = 8


class Times(nn.Module):
    """x times one number, which `move` has put in all places."""

    def __init__(self, move, dtype):
        super().__init__()
        self.one, self.move = nn.Parameter(torch.ones(1, dtype=dtype)), move

    def forward(self, x):
        return (x * self.move(self.one)).sum(1, keepdim=True)


def last_again(t):
    for length in range(1, PLACES):
        t = t.index_select(0, torch.tensor([*range(length), length - 1]))
    return t


def twice_as_long(t):
    for length in range(2, PLACES + 1):
        t = t.repeat(2)[:length]
    return t


def in_two_calls(t):
    first, second = t[[0] * PLACES].split(PLACES // 2)
    return torch.cat([first.expand(1, -1), second.expand(1, -1)], 1)


MOVES = {
    "by an index": lambda t: t[[0] * PLACES],
    "one place more at a time": last_again,
    "twice as many, and some of them": twice_as_long,
    "in two calls": in_two_calls,
    "along new axes": lambda t: t.repeat(2, 2, 2).flatten(),
    "along an axis": lambda t: t.expand(PLACES),
}


@pytest.mark.parametrize("dtype", UNIT, ids=str)
@pytest.mark.parametrize("move", MOVES)
def test_terms_that_are_lost_one_by_one_accuse_nobody(move, dtype):
    """Beside a one each counts for a little less than half of the last place, wherever the one is."""
    for place in range(PLACES):
        x = torch.full((1, PLACES), 0.98 * UNIT[dtype], dtype=dtype)
        x[0, place] = 1
        report = jaccheck.check(Times(MOVES[move], dtype), x, paths=PATHS)
        assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}, report


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_sum_along_an_axis_rounds_once(dtype):
    """And each of its terms, a product, does: that is all, as the sum itself is in wider numbers."""
    skip_where_rounded_each_time(dtype)
    ball = jaccheck.enclosure(Times(MOVES["along an axis"], dtype), torch.ones(1, PLACES, dtype=dtype))["one"]
    assert float(ball.radius) <= 2.1 * UNIT[dtype] * PLACES
