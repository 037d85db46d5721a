"""Gradients among the smallest numbers, which each factor of a derivative may round."""

import pytest
import torch
from torch import nn

from jaccheck import check, enclosure
from jaccheck.paths import register_path, unregister_path
from tests.enclosure.cases import ACTIVATIONS, DTYPES, name


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=name)
def test_each_product_on_the_way_may_underflow(layer, dtype):
    """D times φ' for every D of a few of the smallest numbers, and 64 arguments."""
    model = nn.Sequential(nn.Linear(1, 64), layer, nn.Linear(64, 1, bias=False)).to(dtype)
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    with torch.no_grad():
        model[0].bias.zero_()
        model[0].weight.copy_(torch.linspace(-9, 9, 64)[:, None])
        for units in range(1, 40, 5):
            model[2].weight.copy_(torch.full((1, 64), units * smallest, dtype=torch.float64))
            report = check(model, torch.ones(1, 1, dtype=dtype), paths="all", images=False)
            assert report.forward is None
            assert {verdict.status for verdict in report.verdicts.values()} <= {"agrees", "unsupported"}, str(report)


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
