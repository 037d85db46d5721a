"""Each activation's rule against Arb: the true value and slope lie in the balls, and so do torch's own."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from jaccheck._activations import ACTIVATIONS as KINDS
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.probe import arithmetic
from tests import arb
from tests.enclosure.cases import ACTIVATIONS, CPU, DTYPES, GROWING, OTHERS, arguments, name
from tests.enclosure.judged import images

EVERY = (*ACTIVATIONS, *GROWING, *OTHERS)


def missed(layer: nn.Module, z: Ball, points: Tensor, value: Ball, slope: Ball) -> list[tuple[float, ...]]:
    """(centre, radius, point) where Arb finds φ or φ' of a point of `z` outside its ball."""

    def holds(point: float, *parts: tuple[float, float]) -> bool:
        return all(arb.contains(*part, true) for part, true in zip(parts, arb.at(layer, point), strict=True))

    rows = zip(*map(arb.flat, (z.centre, z.radius, points)), parts_of(value), parts_of(slope), strict=True)
    return [(c, r, p) for c, r, p, *parts in rows if not arb.settled(lambda p=p, parts=parts: holds(p, *parts))]


def parts_of(ball: Ball) -> list[tuple[float, float]]:
    return list(zip(arb.flat(ball.centre), arb.flat(ball.radius), strict=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("layer", EVERY, ids=name)
def test_the_true_value_and_slope_lie_in_the_rules_balls(layer, dtype):
    z = Ball.exact(arguments(dtype, 25))
    value, slope = images(layer, arithmetic(dtype, CPU), z)
    assert not missed(layer, z, z.centre, value, slope)


@pytest.mark.parametrize("layer", EVERY, ids=name)
@pytest.mark.parametrize("relative", [2.0**-52, 2.0**-24, 2.0**-8, 1.0, 2.0**10])
def test_every_point_of_a_ball_is_mapped_into_the_ball_of_its_image(layer, relative):
    centre = arguments(torch.float32, 10).double()
    radius = centre.abs() * relative + 2.0**-40
    z = Ball(centre, radius)
    value, slope = images(layer, arithmetic(torch.float64, CPU), z)
    # c - r and c + r aren't float64 in general: rounded towards c they are points of the ball
    for end in (-1.0, 1.0, 0.37):
        points = centre + end * radius * (1 - 2.0**-50)
        parts = zip(*(map(Fraction, arb.flat(t)) for t in (points, centre, radius)), strict=True)
        points = torch.where(torch.tensor([abs(p - c) <= r for p, c, r in parts]), points, centre)
        assert not missed(layer, z, points, value, slope)


def test_each_value_that_strategies_draw_is_judged_here():
    missing = {
        (kind, parameter, value)
        for kind, described in KINDS.items()
        for parameter, values in described.parameters.items()
        for value in values.values
        if not any(getattr(layer, parameter) == value for layer in EVERY if type(layer) is described.module)
    }
    assert not missing
    assert {type(layer).__name__ for layer in ACTIVATIONS} >= set(KINDS)
