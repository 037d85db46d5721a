"""The enclosure as a user asks for it: no trace of it afterwards, and none of what it doesn't understand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jaccheck


class Counting(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1)
        return self.layer(x)


def test_it_has_the_shapes_of_the_jacobian_and_leaves_no_trace():
    model = Counting()
    balls = jaccheck.enclosure(model, torch.ones(4, 2))
    assert {name: list(ball.centre.shape) for name, ball in balls.items()} == {
        "layer.weight": [4, 3, 3, 2],
        "layer.bias": [4, 3, 3],
    }
    assert model.calls == 0


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.ones(4, 2, dtype=torch.float64), "float64"),
        (torch.ones(4, 2, dtype=torch.int64), "int64"),
        (torch.ones(4, 5), "forward"),
        (torch.ones(2), "batch"),
    ],
)
def test_bad_input_is_refused(x, says):
    with pytest.raises(jaccheck.InvalidProblem, match=says):
        jaccheck.enclosure(nn.Linear(2, 3), x)


def test_a_layer_without_a_rule_is_named():
    with pytest.raises(jaccheck.Unsupported, match="Conv1d"):
        jaccheck.enclosure(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Flatten()), torch.ones(2, 1, 3))


def test_nothing_is_said_of_a_model_that_does_more_than_its_layers():
    model = nn.Linear(2, 3)
    model.register_forward_hook(lambda module, args, output: output + 1)
    with pytest.raises(jaccheck.Unsupported, match="hook"):
        jaccheck.enclosure(model, torch.ones(4, 2))
