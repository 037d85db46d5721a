"""What makes a network smaller than another."""

from __future__ import annotations

from math import prod

from jaccheck._activations import ACTIVATIONS
from jaccheck._containers import Layer, Repeat, Sequential
from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck._values import DTYPES
from jaccheck.minimize.numbers import total_cost
from jaccheck.minimize.options import OPTIONS, PLAIN
from jaccheck.minimize.places import places


def measure(network: Network) -> tuple[float, ...]:
    """What makes one smaller than another: layers, steps and hooks, numbers, options, how simple the numbers are."""
    every = [layer for _, layer, _ in places(network)]
    linears = [layer for layer in every if isinstance(layer, Linear)]
    samples = network.batch if network.batch else 1.5
    options = sum(_options(layer) for layer in every) + DTYPES.index(network.dtype)
    default = Network(layers=network.layers, inputs=network.inputs)
    options += sum(getattr(network, name) != getattr(default, name) for name in OPTIONS)
    numbers = total_cost(network.x) + sum(total_cost(layer.weight) + total_cost(layer.bias) for layer in linears)
    return (
        len(every) + len(network.steps) + len(network.hooks) + len(network.other_mode),
        network.parameters + samples * prod(network.inputs) + samples,
        options + 0.1 * len(network.inputs),
        numbers,
    )


def _options(layer: Layer) -> float:
    if isinstance(layer, Activation):
        rank = PLAIN.index(layer.name) if layer.name in PLAIN else len(PLAIN) + list(ACTIVATIONS).index(layer.name)
        return 10.0 * rank + len(layer.parameters) + layer.functional
    if isinstance(layer, Linear):
        return float(len(layer.frozen))
    if isinstance(layer, Repeat):
        return layer.times + float(layer.tied)
    return float(layer.own + layer.last_first) if isinstance(layer, Sequential) else 0.0
