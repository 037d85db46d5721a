"""Gradients among the smallest numbers, which each factor of a derivative may round."""

import pytest
import torch
from torch import nn

from jaccheck import check
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
