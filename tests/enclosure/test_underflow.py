"""Gradients among the smallest numbers, which each factor of a derivative may round."""

import copy

import pytest
import torch
from torch import nn

from jaccheck import check, enclosure
from jaccheck._capabilities import differentiates
from jaccheck.paths import register_path, unregister_path
from tests.enclosure.cases import ACTIVATIONS, DTYPES, name


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=name)
def test_each_product_on_the_way_may_underflow(layer, dtype):
    """D times φ' for every D of a few of the smallest numbers, and 64 arguments: a unit for each pair."""
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    units = torch.cartesian_prod(torch.linspace(-9, 9, 64), torch.arange(1.0, 40, 5)).double()
    model = nn.Sequential(nn.Linear(1, len(units)), layer, nn.Linear(len(units), 1, bias=False)).to(dtype)
    with torch.no_grad():
        model[0].bias.zero_()
        model[0].weight.copy_(units[:, :1])
        model[2].weight.copy_(units[:, 1] * smallest)
    report = check(model, torch.ones(1, 1, dtype=dtype), paths="all", images=False)
    assert report.forward is None
    assert {verdict.status for verdict in report.verdicts.values()} <= {"agrees", "unsupported"}, str(report)


class Made(nn.Module):
    """``make`` of two layers' values."""

    def __init__(self, make, *layers):
        super().__init__()
        self.make, self.layers = make, nn.ModuleList(layers)

    def forward(self, x):
        return self.make(*(layer(x) for layer in self.layers))


def linear(weight, bias=None):
    layer = nn.Linear(1, 3, bias=bias is not None)
    nn.init.constant_(layer.weight, weight)
    if bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer


def normalized(variance, gamma):
    layer = nn.BatchNorm1d(3)
    layer.running_var.fill_(variance)
    nn.init.constant_(layer.weight, gamma)
    return layer


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(linear(1.0), normalized(1e4, 1000.0)),
        nn.Sequential(linear(1.0), normalized(1e-3, 0.01)),
        nn.Sequential(linear(1.0), nn.LayerNorm(3, eps=1e-4)),
        Made(lambda a, b: a / b, linear(10.0), linear(0.0, 0.01)),
        Made(lambda a: 1000.0 / a, linear(0.0, 30.0)),
        Made(lambda a: a / 3e-3, linear(1.0)),
        Made(lambda a, b: a * b, linear(1.0), linear(0.0, 300.0)),
        Made(lambda a: (100.0 * a).softmax(1), linear(1.0)),
        nn.Sequential(linear(1.0), nn.CELU(200.0), nn.Linear(3, 1)),
        nn.Sequential(linear(-1.0, -3.0), nn.SiLU()),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
def test_a_tangent_may_underflow_before_a_call_multiplies_it(model, dtype):
    """Forward mode of inputs of a few of the smallest numbers, and of their multiples."""
    normalized = any(isinstance(layer, nn.LayerNorm) for layer in model.modules())
    if normalized and not differentiates(nn.LayerNorm(1, elementwise_affine=False), dtype, "cpu"):
        pytest.skip("no layer normalization in this dtype")
    model = copy.deepcopy(model).to(dtype).eval()
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    units = torch.tensor([1, 2, 3, 7, 17, 100, 170, 1000, 1700, 100000], dtype=torch.float64)
    report = check(model, (units * smallest).to(dtype)[:, None], paths="all", images=False)
    assert report.ok, str(report)


def test_a_threshold_among_the_smallest_numbers_is_rounded_to_one():
    model = nn.Sequential(nn.Threshold(0.6 * 2.0**-149, 5.0), nn.Linear(1, 1))
    assert check(model, torch.full((1, 1), 2.0**-149)).ok


class BySigmoid:
    """The slopes of Softplus and LogSigmoid as the textbook has them."""

    name = "by_sigmoid"

    def jacobian(self, model, x):
        z = x if isinstance(model[1], nn.Softplus) else -x
        return {"0.bias": torch.sigmoid(z)[:, None]}


@pytest.mark.parametrize("layer", [nn.Softplus(), nn.LogSigmoid()], ids=name)
def test_a_slope_may_be_a_sigmoid_whose_exponential_overflows(layer):
    model = nn.Sequential(nn.Linear(1, 1), layer)
    model[0].weight.requires_grad_(False).fill_(1.0)
    nn.init.zeros_(model[0].bias)
    sign = -1.0 if isinstance(layer, nn.Softplus) else 1.0
    register_path(BySigmoid())
    try:
        overflowing = sign * torch.tensor([[89.0], [93.0], [100.0]])
        assert not torch.sigmoid(-overflowing.abs()).any()
        assert check(model, overflowing, paths=["by_sigmoid"]).ok
        ball = enclosure(model, sign * torch.tensor([[87.0]]))["0.bias"]
        assert ball.excludes(torch.zeros(1, 1, 1)).all()
    finally:
        unregister_path("by_sigmoid")
