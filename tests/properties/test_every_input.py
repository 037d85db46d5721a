"""The derivative of each activation, at all 65,536 arguments of float16 and bfloat16, by each way that paths take.

``HYPOTHESIS_PROFILE=thorough`` asks all paths.
"""

from __future__ import annotations

import re
from itertools import product

import pytest
import torch
from torch import nn

from jaccheck import check
from jaccheck._activations import ACTIVATIONS
from jaccheck._finding import Failure
from jaccheck._modules import Functional
from jaccheck._problem import admit
from jaccheck.defects.known import known
from jaccheck.properties._activations import with_other_settings
from jaccheck.properties.every_input import arguments, neighbours
from jaccheck.strategies.targets import computes
from tests.planted import planted
from tests.thorough import THOROUGH

HALVES = ("float16", "bfloat16")
# A kernel, its batching rule, the formula of forward mode, BackPACK's own; the other paths take one of these.
WAYS = "all" if THOROUGH else ("autograd", "vmap_jacrev", "vmap_jacfwd", "sqrt_ggn_exact")
CASES = [
    (name, dict(zip(kind.parameters, values, strict=True)))
    for name, kind in ACTIVATIONS.items()
    for values in product(*(parameter.values for parameter in kind.parameters.values()))
]


def problem(layer, dtype, width=1):
    dtype = getattr(torch, dtype)
    return nn.Sequential(nn.Linear(1, width), layer).to(dtype), torch.ones(1, 1, dtype=dtype)


def judged(layer, dtype, paths="all", width=1):
    return check(*problem(layer, dtype, width), paths=paths, properties=("every_input",), images=False).verdicts


@pytest.mark.long
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("name", "parameters"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_at_every_argument(name, parameters, dtype):
    if not computes(name, dtype, "cpu"):
        pytest.skip(f"this torch has no {name} in {dtype}")
    layer = ACTIVATIONS[name].module(**parameters)
    for path, verdict in judged(layer, dtype, WAYS).items():
        if verdict.status == "disagrees":
            failure = Failure(path, verdict.property, verdict.kind)
            assert known(failure, *problem(layer, dtype)), verdict
        elif name != "Identity":
            assert verdict.status != "vacuous" or path == "sqrt_ggn_exact"
            assert verdict.status != "agrees" or verdict.elements > 63_000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_wider_dtypes_as_many_arguments_are_tried_others_for_another_problem(dtype):
    model, x = problem(nn.Tanh(), dtype)
    one, again, other = (neighbours(admit(model, x * factor)) for factor in (1, 1, 3))
    assert torch.equal(one.nan_to_num(), again.nan_to_num())
    assert not torch.equal(one.nan_to_num(), other.nan_to_num())
    assert len(one.unique()) > 50_000
    assert ((one > 2) & (one < 2.01)).any()
    smallest, largest = torch.finfo(one.dtype).smallest_normal, torch.finfo(one.dtype).max
    assert ((one > 0) & (one < smallest)).any()
    assert ((one > largest / 64) & one.isfinite()).any()
    assert judged(nn.Tanh(), dtype, ("autograd",))["autograd"].elements == len(one)


def test_all_bits_are_arguments():
    for dtype in HALVES:
        every = arguments(torch.ones((), dtype=getattr(torch, dtype)))
        assert len(every.view(torch.int16).unique()) == 65_536


class Cubed(nn.Module):
    def forward(self, x):
        return torch.nn.functional.elu(x, alpha=2.0)


def test_functions_are_activations_too():
    verdicts = judged(Cubed(), "float16", ("autograd", "vmap_jacfwd", "batch_grad"))
    assert {path: verdict.status for path, verdict in verdicts.items()} == {
        "autograd": "agrees",
        "vmap_jacfwd": "agrees",
        "batch_grad": "agrees",
    }


def wrong_for_alpha_0(model, x, J):
    of_layers = [getattr(module, "alpha", None) for module in model.modules()]
    of_functions = [module.parameters_.get("alpha") for module in model.modules() if isinstance(module, Functional)]
    return {name: j + 1 for name, j in J.items()} if 0 in of_layers + of_functions else J


@pytest.mark.parametrize("layer", [nn.ELU(0.5), Cubed()])
def test_other_settings_are_tried_too(layer):
    """Which, the problem decides; a score of problems has all that are worth trying."""
    model, x = problem(layer, "float16")
    tried = [words for i in range(32) for words in with_other_settings(admit(model, x + i))]
    assert len(tried) == 32
    assert len(set(tried)) == len(ACTIVATIONS["ELU"].parameters["alpha"].values)
    at_fault = [bool(re.match(r"elu\(alpha=0\b(?!\.)", words, re.IGNORECASE)) for words in tried]
    with planted(wrong_for_alpha_0, base="autograd") as path:
        for fault, status in ((True, "disagrees"), (False, "agrees")):
            one = x + at_fault.index(fault)
            assert check(model, one, paths=(path,), properties=("every_input",)).verdicts[path].status == status


@pytest.mark.parametrize(
    ("layer", "dtype", "words"),
    [
        (nn.Identity(), "float16", "there is no activation"),
        (nn.MaxPool1d(1), "float16", "no enclosure for MaxPool1d"),
        (nn.PReLU(3), "float16", "there is no activation"),
    ],
)
def test_nothing_is_said_where_there_is_nothing_to_try(layer, dtype, words):
    width = layer.weight.numel() if isinstance(layer, nn.PReLU) else 1
    verdict = judged(layer, dtype, ("autograd",), width)["autograd"]
    assert verdict.status == "vacuous"
    assert words in verdict.reason
