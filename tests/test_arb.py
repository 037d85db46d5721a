"""The judge judged: its derivatives by difference quotients, its conventions at kinks by torch's."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from flint import arb as real
from torch import nn

from tests import arb
from tests.enclosure.cases import ACTIVATIONS, KINKS, name

SIDES = (1, -1)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=name)
@pytest.mark.parametrize("z", [0.1, -0.1, 1.25, -1.25, 4.0, -4.0, 33.0, -33.0])
def test_a_slope_is_the_limit_of_difference_quotients(layer, z):
    h = Fraction(1, 2**300)  # the quotient is off by h² φ'''/6; these z are no kinks
    with arb.working_precision(2000):
        (above, _), (below, _) = (arb.at(layer, Fraction(z) + side * h) for side in SIDES)
        quotient = (above - below) / arb.exact(2 * h)
        assert abs(quotient - arb.at(layer, z)[1]) < real(2) ** -500


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=name)
def test_values_are_torchs_in_float64(layer):
    z = torch.linspace(-8, 8, 129, dtype=torch.float64)
    true = [float(arb.settled(lambda t=t: arb.at(layer, t))[0].mid()) for t in z.tolist()]
    assert layer(z).tolist() == pytest.approx(true, rel=2.0**-40, abs=2.0**-40)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=name)
def test_slopes_at_kinks_are_torchs_in_float64(layer):
    if not has_one_convention(layer):
        pytest.skip("torch's scalar and vector kernels differ at its kinks")
    z = torch.tensor([side * kink for kink in KINKS for side in SIDES], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(layer(z).sum(), z)
    true = [float(arb.settled(lambda t=t: arb.at(layer, t))[1].mid()) for t in z.tolist()]
    # to single precision: the constants 1/6 of Hardsigmoid and 1/alpha of CELU have no more in torch's derivatives
    assert slopes.tolist() == pytest.approx(true, rel=2.0**-20, abs=2.0**-20)


def has_one_convention(layer):
    """Whether torch has one slope for a kink, wherever it is in a tensor: Hardswish of 2.2 has two."""
    for kink in (side * kink for kink in KINKS for side in SIDES):
        z = torch.full((43,), kink, dtype=torch.float64, requires_grad=True)
        (slopes,) = torch.autograd.grad(layer(z).sum(), z)
        if slopes.tolist() != pytest.approx([float(slopes[0])] * len(slopes), rel=2.0**-20, abs=2.0**-20):
            return False
    return True


@pytest.mark.parametrize("number", [0.0, 5e-324, -5e-324, 0.1, 1.7976931348623157e308])
def test_a_float_is_taken_exactly(number):
    assert arb.exact(number).is_exact()
    assert float(arb.exact(number).mid()) == number
    with pytest.raises(ValueError, match="1/3"):
        arb.exact(Fraction(1, 3))


def test_a_cancellation_is_settled_at_more_bits():
    model = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    model.weight.data = torch.tensor([[1.0, 2.0**-900, -1.0]], dtype=torch.float64)
    kinked = nn.Sequential(model, nn.ReLU())
    x = torch.ones(1, 3, dtype=torch.float64)
    assert [float(t.mid()) for t in arb.settled(lambda: arb.jacobian(kinked, x))["0.weight"]] == [1.0, 1.0, 1.0]


def test_what_no_precision_settles_is_not_guessed():
    """σ(1) - σ(1) is 0, which no number of bits shows; ReLU has its kink there."""
    first, second = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)
    first.weight.data, second.weight.data = torch.ones(2, 1), torch.tensor([[1.0, -1.0]])
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.ReLU())
    with pytest.raises(arb.Undecided):
        arb.settled(lambda: arb.jacobian(model, torch.ones(1, 1)))


def test_tied_parameters_count_once():
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0]])
    found = arb.settled(lambda: arb.jacobian(nn.Sequential(layer, layer), torch.ones(1, 1)))
    assert [float(t.mid()) for t in found["0.weight"]] == [6.0]  # d w²/dw
