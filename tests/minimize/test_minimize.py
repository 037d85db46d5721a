"""What is left of a network in which a fault is planted: the smallest that still has it, down to its numbers."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from jaccheck import Network, check
from jaccheck._containers import Repeat, Residual, Sequential, Switch
from jaccheck._errors import InvalidProblem
from jaccheck._history import Hook
from jaccheck._layers import Activation, Dropout, Linear
from jaccheck._modules import Either
from jaccheck._values import Values
from jaccheck.minimize import minimized
from jaccheck.minimize.measure import measure
from jaccheck.minimize.numbers import cost, simpler
from jaccheck.minimize.search import PASSES
from jaccheck.minimize.values import explicit
from jaccheck.strategies import networks
from tests.planted import planted

UNIFORM = Values("uniform", seed=7)
BIG = Network(
    layers=(
        Activation("Tanh"),
        Sequential(
            (Linear(6, UNIFORM, UNIFORM, ("weight",)), Activation("GELU", (("approximate", "tanh"),))),
            own=True,
            last_first=True,
        ),
        Residual((Linear(6, UNIFORM), Dropout(0.5), Activation("ReLU", functional=True))),
        Repeat((Linear(6, UNIFORM),), 3, tied=True),
        Switch((Linear(6, UNIFORM), Activation("Tanh")), (Linear(6, UNIFORM),)),
        Linear(5, UNIFORM, UNIFORM),
    ),
    batch=7,
    inputs=(6,),
    x=Values("uniform", seed=3, put=((9, "nan"),)),
    dtype="bfloat16",
    x_layout="strided",
    x_requires_grad=True,
    x_retains_grad=True,
    training=False,
    hooks=(Hook("forward"), Hook("gradient", 2)),
    other_mode=(1, 2),
    used_before="autograd",
    steps=("deepcopy", "pickle", "again"),
)
BARE = Linear(bias=None)


def weights(network: Network) -> list[Any]:
    return [p.detach().double() for p in network.build()[0].parameters() if p.dim() == 2]


def has(kind: type) -> Any:
    return lambda network: any(isinstance(module, kind) for module in network.build()[0].modules())


def inactive(network: Network) -> list[Any]:
    eithers = (module for module in network.build()[0].modules() if isinstance(module, Either))
    return [p for module in eithers for p in module.parts[1].parameters()]


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (lambda n: any(p.dim() == 1 for p in n.build()[0].parameters()), Network((Linear(),))),
        (has(torch.nn.GELU), Network((Activation("GELU"),))),
        (lambda n: bool(weights(n)) and not n.training, Network((BARE,), training=False)),
        (lambda n: bool(weights(n)) and n.dtype == "bfloat16", Network((BARE,), dtype="bfloat16")),
        (lambda n: bool(weights(n)) and n.batch >= 3, Network((BARE,), batch=3)),
        (lambda n: bool(weights(n)) and "pickle" in n.steps, Network((BARE,), steps=("pickle",))),
        (lambda n: bool(weights(n)) and not n.batch, Network((BARE,), batch=0)),
        (lambda n: bool(weights(n)) and Hook("gradient", 2) in n.hooks, Network((BARE,), hooks=(Hook("gradient", 2),))),
        (lambda n: bool(weights(n)) and bool(n.used_before), Network((BARE,), used_before="autograd")),
        (lambda n: bool(weights(n)) and bool(n.other_mode), Network((BARE,), other_mode=(2,))),
        (lambda n: bool(weights(n)) and n.x_retains_grad, Network((BARE,), x_retains_grad=True)),
        (lambda n: has(Either)(n) and bool(weights(n)), Network((Switch((BARE,)),))),
        (lambda n: len(inactive(n)) > 0, Network((Switch((), (BARE,)),))),
    ],
    ids=[
        *("a bias", "a GELU", "evaluation mode", "bfloat16", "three samples", "a step", "no sample"),
        *(
            "a hook",
            "used before",
            "another mode",
            "x retains its gradient",
            "a part that isn't active",
            "a weight in that",
        ),
    ],
)
def test_what_is_left_is_the_smallest(fails, expected):
    start = BIG if fails(BIG) else Network(BIG.layers, batch=0, inputs=BIG.inputs)
    found = minimized(start, fails)
    assert (found.network, found.complete) == (expected, True)


def test_numbers_become_as_simple_as_the_fault_lets_them():
    def fails(network: Network) -> bool:
        return sum(int((w > 3).sum()) for w in weights(network)) > 1

    start = Network((Linear(4, Values("uniform", seed=1, exponent=3)),), batch=2, inputs=(3,), dtype="float32")
    assert fails(start)
    found = minimized(start, fails).network
    assert (found.batch, found.parameters, found.x, found.dtype) == (1, 2, Values(), "float64")
    assert all(number > 3 and cost(number) <= cost(4) for number in weights(found)[0].flatten().tolist())


def test_samples_inputs_and_units_go_one_by_one_and_the_others_keep_their_numbers():
    def fails(network: Network) -> bool:
        x = network.build()[1].flatten(1)
        return bool((x.isnan().any(1) & (x > 0.7).any(1)).any()) and bool(network.layers)

    start = Network((Linear(3, UNIFORM),), 9, (5,), Values("uniform", seed=4, put=((17, "nan"),)), dtype="float32")
    assert fails(start)
    found = minimized(start, fails).network
    assert (found.batch, found.inputs, found.layers) == (1, (2,), (BARE,))
    assert sorted(map(str, found.x.numbers)) == ["1", "nan"]


def test_a_unit_goes_with_the_column_that_reads_it():
    """What the whole network gives for its one sample stays the same to the end."""
    weight = Values(numbers=(0, 0, 3, 0, 5, 0))

    def fails(network: Network) -> bool:
        model, x = network.build()
        with torch.no_grad():
            return model(x).flatten().tolist() == [30.0]

    layers = (Linear(3, weight, None), Activation("ReLU"), Linear(1, Values(numbers=(7, 10, 0)), None))
    start = Network(layers, inputs=(2,), x=Values(numbers=(1, 0)))
    assert fails(start)
    found = minimized(start, fails).network
    assert (len(found.layers), found.parameters, found.inputs) == (1, 1, (1,))


def test_linear_layers_are_merged_where_neither_can_go():
    layers = (Linear(2, Values(numbers=(1, 2, 3, 4))), Linear(2, Values(numbers=(1, 2, 2, 1))))
    start = Network(layers, inputs=(2,), x=Values(numbers=(3, -1)))
    model, x = start.build()
    expected = model(x).tolist()

    def fails(network: Network) -> bool:
        model, x = network.build()
        return bool(weights(network)) and model(x).tolist() == expected

    assert len(minimized(start, fails).network.layers) == 1


def test_what_is_square_stays_square():
    def fails(network: Network) -> bool:
        return any(w.shape[0] == w.shape[1] > 1 and not torch.equal(w, w.mT) for w in weights(network))

    found = minimized(Network((Linear(40, UNIFORM),), inputs=(40,)), fails).network
    assert (found.parameters, sorted(weights(found)[0].flatten().tolist())) == (4, [0, 0, 0, 1])


@pytest.mark.long
@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(network=networks(residual=True, reuse=True, tied=True, containers=True, functional=True, dropout=True))
def test_written_out_it_builds_the_same_bits_and_each_candidate_is_a_network_or_refused(network):
    again = explicit(network)
    for ours, theirs in zip(network.build(), again.build(), strict=True):
        if isinstance(ours, torch.Tensor):
            assert torch.equal(ours.nan_to_num(), theirs.nan_to_num())
        else:
            assert all(torch.equal(a, theirs.state_dict()[k]) or a.isnan().any() for k, a in ours.state_dict().items())
    for make in PASSES:
        for _, candidate in zip(range(12), make(network), strict=False):
            try:
                small = candidate()
            except InvalidProblem:
                continue
            assert isinstance(small, Network)
            assert Network.from_json(small.to_json()) == small
            assert isinstance(measure(small), tuple)


@pytest.mark.parametrize("number", [0.1, -3.7e30, 65504.0, 2.0**-1074, 1e308, -1, 12, "nan", "-inf", "-0.0"])
def test_simpler_numbers_cost_less_and_come_in_order(number):
    found = simpler(number, "float64")
    costs = [cost(other) for other in found]
    assert costs == sorted(costs)
    assert all(c < cost(number) for c in costs)
    assert found[0] == 0


def test_zero_is_the_simplest_number():
    assert simpler(0, "float64") == []


def test_the_time_is_kept():
    def slow(network: Network) -> bool:
        time.sleep(0.05)
        return bool(network.layers)

    start = time.monotonic()
    found = minimized(BIG, slow, seconds=0.4)
    assert time.monotonic() - start < 1.5
    assert not found.complete
    assert 0 < found.tried <= 9
    assert measure(found.network) <= measure(BIG)


def test_it_stops_when_it_is_told_to_and_says_how_far_it_is():
    seen = []
    found = minimized(BIG, lambda n: True, stop=lambda: len(seen) >= 3, watch=lambda best, tried: seen.append(tried))
    assert (found.tried, found.complete, seen) == (3, False, [1, 2, 3])


def test_a_network_that_cannot_be_made_smaller_stays():
    network = Network((Linear(bias=None),))
    assert minimized(network, lambda other: other == network).network == network


LOOKS = {
    "transposed axes": (lambda j: j.mT if j.dim() == 4 and j.shape[2] == j.shape[3] else j, 4),
    "permuted samples": (lambda j: j.flip(0), 1),
    "permuted units": (lambda j: j.roll(1, 2), 3),
    "zero": (lambda j: torch.where(torch.arange(j.shape[-1]) < 128, j, 0 * j), 129),
    "factor": (lambda j: j / len(j), 1),
}


@pytest.mark.parametrize("shape", LOOKS)
def test_a_wrong_path_shrinks_to_what_still_looks_the_same(shape):
    alter, parameters = LOOKS[shape]

    def fails(network: Network) -> bool:
        verdict = check(*network.build(), paths=(path,), images=False).verdicts[path]
        return verdict.kind == "value" and verdict.error_shape in (shape, "sum and mean")

    with planted(lambda model, x, J: {name: alter(j) for name, j in J.items()}) as path:
        inputs = (130,) if shape == "zero" else (3,)
        start = Network((Linear(3, UNIFORM), Activation("Tanh"), Linear(3, UNIFORM)), 3, inputs, UNIFORM)
        if shape in ("transposed axes", "factor"):
            start = Network((Linear(3, UNIFORM),), 3, inputs, UNIFORM)
        assert fails(start)
        found = minimized(start, fails)
    assert found.complete
    assert found.network.parameters == parameters
    assert all(float(number) in (0, 1) for number in found.network.x.numbers)
