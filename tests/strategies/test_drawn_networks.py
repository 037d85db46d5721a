"""Networks are within their limits, run, and have what makes libraries stumble; each piece is useful alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from features import DESCRIBED, FEATURES, OF_JACOBIANS, OPTIONAL, Built, drawn, shares
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from jaccheck import Network
from jaccheck._activations import ACTIVATIONS
from jaccheck._containers import Repeat, Residual, Sequential, Switch
from jaccheck._layers import Activation, Dropout, Linear
from jaccheck._values import DTYPES, FORMATS, Values
from jaccheck.fuzz.features import leaves
from jaccheck.strategies import EVERYTHING, activations, devices, dtypes, networks, values
from jaccheck.strategies._choices import Choices
from jaccheck.strategies.sizes import fitted


@given(networks(**EVERYTHING))
def test_every_network_runs_forward_and_backward(network: Network) -> None:
    model, x = network.build()
    x = x.detach().requires_grad_()  # torch warns about backward hooks otherwise
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert trainable
    f = model(x)
    assert f.shape == (network.batch, network.outputs)
    torch.autograd.grad(f.sum(), trainable, allow_unused=True)


@st.composite
def limits(draw: st.DrawFn) -> dict[str, int]:
    depth, low = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    return {
        "min_batch": low,
        "max_batch": draw(st.integers(low, 40)),
        "max_width": draw(st.integers(1, 100)),
        "max_depth": depth,
        "max_outputs": draw(st.integers(max(1, low), 50)),
        "max_jacobian": draw(st.integers(4 * (depth + 1) * max(1, low), 5000)),
    }


@given(limits=limits(), data=st.data())
def test_networks_keep_to_their_limits(limits: dict[str, int], data: st.DataObject) -> None:
    network = data.draw(networks(**limits, **EVERYTHING))
    widths = [layer.width for layer in leaves(network) if isinstance(layer, Linear)]
    rows = max(network.batch, 1) * network.outputs
    assert limits["min_batch"] <= network.batch <= limits["max_batch"]
    assert max(*widths, *network.inputs) <= limits["max_width"]
    assert len(widths) <= limits["max_depth"] + 1
    assert rows <= limits["max_outputs"]
    assert rows * network.parameters <= limits["max_jacobian"]


@given(
    batch=st.integers(0, 300),
    inputs=st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple),
    widths=st.lists(st.integers(0, 300), min_size=1, max_size=6),
    limits=limits(),
)
def test_fitting_changes_only_what_does_not_fit(
    batch: int, inputs: tuple[int, ...], widths: list[int], limits: dict[str, int]
) -> None:
    keep = {"min_batch": min(limits["min_batch"], batch), "max_outputs": limits["max_outputs"]}
    keep["max_jacobian"] = max(limits["max_jacobian"], 2 * len(widths) * max(1, keep["min_batch"]))
    smaller = fitted(batch, inputs, widths, **keep)
    assert fitted(*smaller, **keep) == smaller
    assert smaller[0] <= batch
    assert len(smaller[2]) == len(widths)
    assert all(new <= old for new, old in zip(smaller[2], widths, strict=True))


@pytest.mark.parametrize("name", DTYPES)
def test_names_limit_what_is_drawn(name: str) -> None:
    found = drawn(networks(dtypes=(name,), devices=("cpu",), activations=("Tanh", "GELU"), values=("integers",)), 100)
    names = {layer.name for network in found for layer in leaves(network) if isinstance(layer, Activation)}
    assert names == {"Tanh", "GELU"}
    assert {(network.dtype, network.device) for network in found} == {(name, "cpu")}
    for network in found:
        model, x = network.build()
        assert all(
            torch.equal(4 * t, (4 * t).round()) and t.abs().max() <= 4 for t in (*model.parameters(), x) if t.numel()
        )


@cache
def plain() -> list[Network]:
    return drawn(networks(), 200)


@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        ("residual", Residual),
        ("reuse", Repeat),
        ("tied", Repeat),
        ("containers", Sequential),
        ("dropout", Dropout),
        ("switch", Switch),
    ],
)
def test_structures_are_drawn_when_asked_for(argument: str, kind: type) -> None:
    def has(network: Network) -> bool:
        own = {"tied": "tied", "containers": "own"}.get(argument)
        return any(isinstance(layer, kind) and (own is None or getattr(layer, own)) for layer in network.layers)

    assert not any(map(has, plain()))
    assert sum(map(has, drawn(networks(**{argument: True}), 200))) > 20


def test_functional_activations_are_drawn_when_asked_for() -> None:
    def has(network: Network) -> bool:
        return any(isinstance(layer, Activation) and layer.functional for layer in network.layers)

    assert not any(map(has, plain()))
    assert sum(map(has, drawn(networks(functional=True), 200))) > 10


@pytest.mark.parametrize(
    ("argument", "field"),
    [("modes", "other_mode"), ("hooks", "hooks"), ("retained", "x_retains_grad"), ("used_before", "used_before")],
)
def test_what_a_user_may_have_done_is_drawn_when_asked_for(argument: str, field: str) -> None:
    assert not any(getattr(network, field) for network in plain())
    assert sum(bool(getattr(network, field)) for network in drawn(networks(**{argument: True}), 200)) > 10


def test_nothing_is_frozen_unless_wanted() -> None:
    found = drawn(networks(frozen=False), 100)
    assert not any(layer.frozen for network in found for layer in leaves(network) if isinstance(layer, Linear))


@pytest.mark.long
def test_each_feature_is_there_often_enough() -> None:
    rare = {name: share for name, share in shares(networks(), 500).items() if share < 0.004}
    assert rare == {}
    assert set(ACTIVATIONS) <= set(FEATURES)
    for examples, features in ((400, OPTIONAL), (200, OF_JACOBIANS)):
        found = shares(networks(**EVERYTHING), examples, features)
        assert {name: share for name, share in found.items() if share < 0.004} == {}


def test_what_a_description_says_of_numbers_is_so() -> None:
    for built in map(Built, drawn(networks(), 300)):
        assert DESCRIBED["integers alone"](built) <= FEATURES["numbers all integers"](built)
        assert DESCRIBED["some samples not finite"](built) <= FEATURES["that in some samples only"](built)


def test_networks_differ() -> None:
    found = drawn(networks(), 500)
    assert len(set(found)) > 480


def test_from_the_start_on_networks_are_of_all_sizes() -> None:
    simplest, *others = drawn(networks(), 500)[:40]
    assert simplest == Network((Linear(),))
    assert sum(len([*leaves(network)]) == 1 for network in others) < 8


@given(data=st.data(), dtype=dtypes(), role=st.sampled_from(("weight", "bias", "x")))
def test_pieces_are_useful_alone(data: st.DataObject, dtype: str, role: str) -> None:
    drawn_values = data.draw(values(dtype, role))
    tensor = drawn_values.tensor((2, 3), dtype, fan_in=3)
    assert (tensor.shape, tensor.dtype) == ((2, 3), FORMATS[dtype].dtype)
    torch.zeros((), dtype=tensor.dtype, device=data.draw(devices()))
    activation = data.draw(activations())
    assert Network((activation,)).build()[0](torch.ones(1, 1)).shape == (1, 1)


@given(activations(("LeakyReLU", "ReLU")))
def test_activations_are_of_the_names_asked_for(activation: Activation) -> None:
    assert activation.name in ("LeakyReLU", "ReLU")


@given(values(regimes=("integers",)))
def test_integers_are_exact_in_every_dtype(drawn_values: Values) -> None:
    reference = drawn_values.tensor((4, 4), "float64")
    assert all(torch.equal(drawn_values.tensor((4, 4), name).double(), reference) for name in DTYPES)


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_batch": -1},
        {"min_batch": 3, "max_batch": 2},
        {"max_width": 0},
        {"max_width": 2.0},
        {"max_depth": -1},
        {"max_outputs": 0},
        {"min_batch": 4, "max_outputs": 3},
        {"max_jacobian": 17},
        {"min_batch": 2, "max_jacobian": 35},
        {"activations": ()},
        {"activations": ("Relu",)},
        {"activations": "ReLU"},
        {"dtypes": ("float8",)},
        {"dtypes": ()},
        {"devices": ("cuda:99",)},
        {"values": ("random",)},
    ],
)
def test_limits_that_cannot_be_met_are_invalid(arguments: dict[str, Any]) -> None:
    (name, *_) = list(arguments)[-1:]
    with pytest.raises(InvalidArgument, match=name):
        networks(**arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: activations(("Softmax",)),
        lambda: dtypes(("int64",)),
        lambda: devices(()),
        lambda: values("float8"),
        lambda: values(role="input"),
        lambda: values(regimes=()),
    ],
)
def test_unknown_names_are_invalid(wrong: Any) -> None:
    with pytest.raises(InvalidArgument):
        wrong()


def test_names_given_twice_count_once() -> None:
    assert drawn(networks(activations=("ReLU",) * 300), 50) == drawn(networks(activations=("ReLU",)), 50)


def test_zeros_choose_the_first_and_all_entries_are_reached() -> None:
    for size in (1, 3, 255, 256, 257, 700):
        table = range(size)
        needed = 1 if size <= 256 else 2
        assert Choices(bytes(needed)).pick(table) == 0
        assert Choices(b"\xff" * needed).pick(table) == size - 1
        reached = {Choices(i.to_bytes(needed, "big")).pick(table) for i in range(256**needed)}
        assert reached == set(table)


def test_what_hypothesis_shows_can_be_read_and_pasted() -> None:
    @settings(max_examples=1000, database=None, derandomize=True)
    @given(network=networks(), numbers=values(), activation=activations(("ELU",)))
    def fails(network: Network, numbers: Values, activation: Activation) -> None:
        assert not numbers.numbers or network.batch < 2 or not activation.parameters

    with pytest.raises(AssertionError) as failure:
        fails()
    shown = "\n".join(failure.value.__notes__)
    assert "network=Network(layers=(Linear(),), batch=2)," in shown
    assert "numbers=Values(numbers=(1,))," in shown
    assert "activation=Activation(name='ELU', parameters=(('alpha', 0.0),))," in shown
    assert len(repr(networks())) < 200
