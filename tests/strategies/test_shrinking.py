"""What is left of a network when a fault is planted: the smallest that still has it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, find, settings
from torch import Tensor, nn

from jaccheck import Network
from jaccheck._containers import Sequential
from jaccheck._layers import Activation, Flatten, Linear
from jaccheck._values import Values
from jaccheck.fuzz.features import leaves
from jaccheck.strategies import EVERYTHING, activations, networks, values

SETTINGS = settings(
    max_examples=3000, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def smallest(fault: Callable[[Network], Any], **limits: Any) -> Network:
    return find(networks(**limits), lambda network: bool(fault(network)), settings=SETTINGS)


def weights(network: Network) -> list[Tensor]:
    return [p.detach().double() for p in network.build()[0].parameters() if p.dim() == 2]


def has(layer: Callable[[Any], bool]) -> Callable[[Network], bool]:
    return lambda network: any(map(layer, leaves(network)))


def relu_then_linear(network: Network) -> bool:
    found = leaves(network)
    return any(isinstance(a, Activation) and a.name == "ReLU" and isinstance(b, Linear) for a, b in pairwise(found))


def depth(network: Network) -> int:
    return sum(isinstance(layer, Linear) for layer in leaves(network))


ONE = Network((Linear(),))

CASES: dict[str, tuple[Callable[[Network], Any], Network]] = {
    "nothing": (lambda network: True, ONE),
    "a ReLU before a Linear": (relu_then_linear, Network((Linear(), Activation("ReLU"), Linear()))),
    "a GELU": (has(lambda a: isinstance(a, Activation) and a.name == "GELU"), Network((Linear(), Activation("GELU")))),
    "three hidden layers": (lambda network: depth(network) == 4, Network((Linear(),) * 4)),
    "a NaN in x": (
        lambda network: network.build()[1].isnan().any(),
        Network((Linear(),), x=Values(put=((0, "nan"),))),
    ),
    "an odd weight": (
        lambda network: any((w % 2 == 1).any() for w in weights(network)),
        Network((Linear(weight=Values(numbers=(1,))),)),
    ),
    "no sample": (lambda network: network.batch == 0, Network((Linear(),), batch=0)),
    "bfloat16": (lambda network: network.dtype == "bfloat16", Network((Linear(),), dtype="bfloat16")),
    "evaluation mode": (lambda network: not network.training, Network((Linear(),), training=False)),
    "x requires grad": (lambda network: network.x_requires_grad, Network((Linear(),), x_requires_grad=True)),
    "Flatten": (
        lambda network: network.inputs == (1, 1) and has(lambda a: isinstance(a, Flatten))(network),
        Network((Flatten(), Linear()), inputs=(1, 1)),
    ),
    "a frozen weight": (
        has(lambda a: isinstance(a, Linear) and "weight" in a.frozen),
        Network((Linear(frozen=("weight",)),)),
    ),
    "no bias": (has(lambda a: isinstance(a, Linear) and a.bias is None), Network((Linear(bias=None),))),
    "nested": (
        lambda network: any(isinstance(layer, Sequential) for layer in network.layers),
        Network((Sequential((Linear(),)),)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_of_a_network_with(case: str) -> None:
    fault, expected = CASES[case]
    assert smallest(fault) == expected


def test_sizes_are_just_large_enough() -> None:
    found = smallest(lambda network: network.batch * network.outputs >= 6)
    assert found.batch * found.outputs == 6
    assert depth(found) == 1
    found = smallest(lambda network: any(max(w.shape) > 20 for w in weights(network)))
    assert max(max(w.shape) for w in weights(found)) == 21


@pytest.mark.long
def test_numbers_become_few_small_integers() -> None:
    """A kink beside a positive pre-activation: two units or samples, one number other than zero."""

    def kink(network: Network) -> bool:
        model, x = network.build()
        found: list[bool] = []
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(
                    lambda _, inputs, __: found.append(bool((inputs[0] == 0).any() and (inputs[0] > 0).any()))
                )
        with torch.no_grad():
            model(x)
        return any(found)

    found = smallest(kink)
    assert found.dtype == "float64"
    linears = [layer for layer in leaves(found) if isinstance(layer, Linear)]
    assert all(value.kind == "cycle" for linear in linears for value in (linear.weight, linear.bias) if value)


def test_optional_structures_shrink_away() -> None:
    assert smallest(lambda network: True, **EVERYTHING) == ONE
    assert smallest(relu_then_linear, **EVERYTHING) == Network((Linear(), Activation("ReLU"), Linear()))


def test_pieces_shrink_to_what_their_docstrings_say() -> None:
    anything = {"condition": lambda _: True, "settings": SETTINGS}
    assert find(activations(), **anything) == Activation("ReLU")
    assert find(activations(("Tanh", "ELU")), **anything) == Activation("Tanh")
    assert find(values(), **anything) == Values()
    assert find(values(), lambda drawn: bool(drawn.tensor((2,), "float64").any()), settings=SETTINGS) == Values(
        numbers=(1,)
    )
