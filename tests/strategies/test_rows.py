"""Rows of activations, how many of them `fuzz` draws, and what happens to the models of its networks."""

from __future__ import annotations

from hypothesis import given

from jaccheck import Network
from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._layers import Activation, Linear
from jaccheck._steps import STEPS
from jaccheck._values import DTYPES
from jaccheck.fuzz.drawing import FEW, SOME, tried, used
from jaccheck.fuzz.features import kinds
from jaccheck.fuzz.turns import SEVERAL
from jaccheck.strategies import in_a_row, networks
from jaccheck.strategies.drawing import collected

ROWS = (set(CORE), ACTIVATIONS.keys() - set(CORE))


@given(in_a_row(dtypes=("float32",)))
def test_a_row_has_many_different_activations_each_behind_a_layer_of_one_unit(network: Network) -> None:
    linears, row = network.layers[::2], network.layers[1::2]
    names = [layer.name for layer in row if isinstance(layer, Activation)]
    assert set(names) in ROWS
    assert len(set(names)) == len(row) == len(linears)
    assert all(isinstance(layer, Linear) and layer.width == 1 for layer in linears)
    assert (network.outputs, network.dtype) == (1, "float32")
    network.build()


def test_all_activations_come_soon_and_a_fifth_of_the_networks_of_fuzz_are_rows() -> None:
    found = collected(tried(DTYPES), count=400, seed="rows")
    assert {name for network in found[:60] for name in kinds(network)} >= ACTIVATIONS.keys()
    rows = [network for network in found if is_row(network)]
    assert 0.12 < len(rows) / len(found) < 0.28
    assert len({(network.dtype, set(CORE) <= set(kinds(network))) for network in rows}) == 2 * len(DTYPES)


def is_row(network: Network) -> bool:
    return len(network.layers) >= 2 * SEVERAL and {*kinds(network)} - {"Linear"} in ROWS


@given(networks())
def test_everything_happens_to_the_model_of_a_network_with_few_outputs_and_something_to_any(network: Network) -> None:
    after = used(network)
    few = network.batch * network.outputs <= FEW
    assert len(set(after.steps)) == len(after.steps) == (len(STEPS) if few else SOME)
    assert "extend" not in after.steps[:-1]
    assert after == used(network) != network
