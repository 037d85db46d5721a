"""Gradients among the smallest numbers, which each factor of a derivative may round."""

import pytest
import torch
from torch import nn

from jaccheck import check
from jaccheck._activations import ACTIVATIONS
from jaccheck._values import DTYPES

ALPHAS = [nn.ELU(0.5), nn.ELU(2.0), nn.CELU(0.5), nn.CELU(1.7), nn.Softplus(0.5), nn.Softplus(2.0)]
LAYERS = [*(activation.module() for activation in ACTIVATIONS.values()), *ALPHAS]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_each_product_on_the_way_may_underflow(layer, dtype):
    """D times φ' for every D of a few of the smallest numbers, and 64 arguments."""
    dtype = getattr(torch, dtype)
    model = nn.Sequential(nn.Linear(1, 64), layer, nn.Linear(64, 1, bias=False)).to(dtype)
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    with torch.no_grad():
        model[0].bias.zero_()
        model[0].weight.copy_(torch.linspace(-9, 9, 64)[:, None])
        for units in range(1, 40, 2):
            model[2].weight.copy_(torch.full((1, 64), units * smallest, dtype=torch.float64))
            report = check(model, torch.ones(1, 1, dtype=dtype), paths="all", images=False)
            assert report.forward is None
            assert {verdict.status for verdict in report.verdicts.values()} <= {"agrees", "unsupported"}, str(report)
