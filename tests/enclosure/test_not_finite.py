"""What is certain of numbers that aren't finite: the model's own output is never called wrong for them."""

from __future__ import annotations

from functools import partial
from math import inf, nan

import pytest
import torch
from torch import nn

from jaccheck import check
from jaccheck._problem import admit
from jaccheck.enclosure import Oracle

LARGEST = torch.finfo(torch.float32).max


def linear(*weights, bias=0.0):
    layer = nn.Linear(len(weights), 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
        layer.bias.fill_(bias)
    return layer


CASES = {
    "an infinity alone": ([inf], linear(1.0), 6.0),
    "beside finite terms": ([inf, 1e38], linear(1.0, -2.0), 6.0),
    "beside one that may overflow to the other infinity": ([inf, LARGEST], linear(1.0, -2.0), None),
    "beside terms whose sum may": ([inf, 0.7 * LARGEST, 0.7 * LARGEST], linear(1.0, -1.0, -1.0), None),
    "beside a bias that may": ([inf, 0.7 * LARGEST], linear(1.0, -1.0, bias=-0.7 * LARGEST), None),
    "both infinities": ([inf, inf, LARGEST], linear(1.0, -1.0, 2.0), nan),
    "NaN": ([nan, LARGEST], linear(1.0, 2.0), nan),
}


@pytest.mark.parametrize("case", CASES)
def test_an_infinity_is_one_only_if_nothing_beside_it_overflows(case):
    numbers, layer, expected = CASES[case]
    model, x = nn.Sequential(layer, nn.ReLU6()), torch.tensor([numbers])
    output = Oracle(model, x).output
    assert bool(output.radius.isfinite().all()) == (expected is not None)
    if expected is not None:
        torch.testing.assert_close(output.centre.item(), expected, equal_nan=True)
    assert output.holds(admit(model, x).output)
    assert check(model, x).forward is None


def test_nothing_is_known_behind_an_overflow_that_may_be_nan_if_kernels_differ_there():
    """ELU with alpha 0 has a bounded slope for every number, and another one in each of torch's kernels for NaN."""
    model = nn.Sequential(linear(3.0, -3.0), nn.ELU(alpha=0.0), nn.Linear(1, 1))
    x = torch.tensor([[LARGEST, LARGEST]])  # inf - inf in one order, in another 0
    assert Oracle(model, x).jacobians()["0.bias"].rows(Oracle(model, x).fl, slice(None), slice(None)).radius == inf
    assert check(model, x).ok


def test_celu_may_overflow_where_the_gradient_divided_by_alpha_does():
    model = nn.Sequential(nn.Linear(1, 1), nn.CELU(alpha=0.5), linear(0.75 * LARGEST))
    with torch.no_grad():
        model[0].weight.fill_(-20.0)
    x = torch.ones(1, 1)
    assert not torch.autograd.grad(model(x).sum(), model[0].bias)[0].isfinite()  # though it is about 1e23
    assert check(model, x).ok


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", [partial(nn.ELU, 1.7), partial(nn.ELU, 0.3), nn.SELU, partial(nn.CELU, 1.7)])
def test_in_place_a_slope_is_that_of_the_rounded_value_at_minus_infinity_too(make, dtype):
    """torch computes it as a + λ α, which is the rounding of a."""
    model = nn.Sequential(linear(1.0), make(inplace=True)).to(dtype)
    x = torch.tensor([[-inf]], dtype=dtype)
    assert check(model, x, paths=["autograd", "vmap_jacrev"]).ok
    model[1].inplace = False
    oracle = Oracle(model, x)
    assert oracle.jacobians()["0.bias"].rows(oracle.fl, slice(None), slice(None)).radius < 1e-6
