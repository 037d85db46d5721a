"""The enclosure of a network against Arb: the true Jacobian and the true output lie in their balls."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from jaccheck import enclosure
from jaccheck.enclosure import Ball
from tests import arb
from tests.enclosure.cases import ACTIVATIONS, DTYPES, GROWING, name, numbers
from tests.enclosure.judged import missed


def network(activation: nn.Module, depth: int, seed: int) -> tuple[nn.Sequential, Tensor]:
    """Two samples through `depth` activations, widths 3, 2, 3, …, in float64; ``activation`` comes last as well."""
    draw = numbers(seed)
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(3 - i % 2, 2 + i % 2, bias=i != 1, dtype=torch.float64), copy.deepcopy(activation)]
    model = nn.Sequential(*layers)
    for p in model.parameters():
        p.data = draw(*p.shape)
    return model, draw(2, 3)


def ordinary(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    """Numbers around 1."""


def saturated(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    x *= 40


def subnormal(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    x *= torch.finfo(dtype).smallest_normal
    for p in model.parameters():
        p.data *= 0.25 if p.dim() == 2 else torch.finfo(dtype).smallest_normal


def tiny(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    x *= torch.finfo(dtype).smallest_normal ** 0.5
    for p in model.parameters():
        p.data *= torch.finfo(dtype).smallest_normal ** 0.25


def huge(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    x *= torch.finfo(dtype).max ** 0.5
    for p in model.parameters():
        p.data *= torch.finfo(dtype).max ** 0.125


def integer(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    """Small integers, so that pre-activations are exact, and often at a kink."""
    for t in (x, *(p.data for p in model.parameters())):
        t.copy_(t.round())


@pytest.mark.parametrize("scale", [ordinary, saturated, subnormal, tiny, huge, integer], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=name)
def test_the_true_jacobian_lies_in_the_enclosure(activation, dtype, scale):
    for depth in (1, 4):
        model, x = network(activation, depth, seed=depth)
        scale(model, x, dtype)
        model, x = model.to(dtype), x.to(dtype)
        assert not missed(model, x), f"depth {depth}"


@pytest.mark.parametrize("scale", [ordinary, subnormal, tiny, integer], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("activation", GROWING, ids=name)
def test_so_it_does_where_an_activation_grows(activation, dtype, scale):
    for depth in (1, 2):
        model, x = network(activation, depth, seed=depth)
        scale(model, x, dtype)
        model, x = model.to(dtype), x.to(dtype)
        assert not missed(model, x), f"depth {depth}"


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *GROWING], ids=name)
def test_something_is_claimed_of_ordinary_numbers(activation, dtype):
    model, x = network(activation, 2, seed=2)
    assert all(ball.radius.isfinite().all() for ball in enclosure(model.to(dtype), x.to(dtype)).values())


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_a_ball_that_is_wrong_is_noticed(dtype):
    """The judge finds an entry that is moved by a little more than two radii."""
    model, x = network(nn.Tanh(), 2, seed=0)
    model, x = model.to(dtype), x.to(dtype)
    balls = enclosure(model, x)
    ball = balls["0.weight"]
    balls["0.weight"] = Ball(ball.centre + 2.01 * ball.radius, ball.radius)
    found = arb.misses({key: (b.centre, b.radius) for key, b in balls.items()}, lambda: arb.jacobian(model, x))
    assert {miss.name for miss in found} == {"0.weight"}
    assert len(found) == ball.centre.numel()
