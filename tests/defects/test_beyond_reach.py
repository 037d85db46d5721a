"""Defects of torch that no fuzzing of ours comes across: paths work around them, or no strategy draws the layer.

Each is a strict xfail, so that it shows once torch has mended it.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap

import jaccheck


@pytest.mark.xfail(strict=True, reason="https://github.com/pytorch/pytorch/issues/164759")
def test_functional_call_leaves_a_layer_that_is_used_twice_as_it_was():
    layer = nn.Linear(1, 1)
    model = nn.Sequential(layer, layer)
    functional_call(model, {name: 2 * p.detach() for name, p in model.named_parameters()}, (torch.ones(1, 1),))
    assert isinstance(layer._parameters["weight"], nn.Parameter)


@pytest.mark.parametrize("path", ["vmap_jacrev", "vmap_jacfwd"])
def test_our_paths_by_functional_call_do(path):
    layer = nn.Linear(1, 1)
    model = nn.Sequential(layer, layer)
    weight = layer.weight
    assert jaccheck.check(model, torch.ones(2, 1), paths=(path,)).ok
    assert layer.weight is weight


@pytest.mark.xfail(strict=True, raises=(RuntimeError, AssertionError), reason="PReLU's weight is put on the wrong axis")
@pytest.mark.parametrize("N", [3, 4], ids=["as many samples as outputs: wrong", "otherwise: raises"])
def test_per_sample_jacobians_of_prelu_by_reverse_mode(N):
    model, x = nn.PReLU(), -torch.arange(1.0, 3 * N + 1).view(N, 3)

    def f(params, sample):
        return functional_call(model, params, (sample[None],))[0]

    J = vmap(jacrev(f), in_dims=(None, 0))({"weight": model.weight.detach()}, x)["weight"]  # [N, C, 1]
    assert torch.equal(J[..., 0], x)
