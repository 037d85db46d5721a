"""Options as they are by default, plainer activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck._values import DTYPES
from jaccheck.minimize.places import Candidates, changed, places, put

PLAIN = ("ReLU", "Sigmoid", "Tanh")
"""Activations to try in place of others."""
OPTIONS = ("device", "x_layout", "x_requires_grad", "x_retains_grad", "training", "bare", "used_before")
"""Those of a network that have a default."""


def plain(network: Network) -> Candidates:
    """Options as they are by default."""
    default = Network(layers=network.layers, inputs=network.inputs)
    for name in OPTIONS:
        if getattr(network, name) != getattr(default, name):
            yield partial(replace, network, **{name: getattr(default, name)})
    for dtype in DTYPES[: DTYPES.index(network.dtype)]:
        yield partial(replace, network, dtype=dtype)
    for place, layer, _ in places(network):
        if isinstance(layer, Linear) and layer.frozen:
            yield partial(changed, network, place, frozen=())
        if isinstance(layer, Activation):
            for other in _plainer(layer):
                yield partial(put, network, place, other)


def _plainer(layer: Activation) -> Iterator[Activation]:
    if layer.functional:
        yield replace(layer, functional=False)
    for i in range(len(layer.parameters)):
        yield replace(layer, parameters=(*layer.parameters[:i], *layer.parameters[i + 1 :]))
    for name in PLAIN:
        if name == layer.name:
            break
        yield Activation(name)
