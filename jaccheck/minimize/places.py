"""Where the layers of a network are, and networks with others in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from jaccheck._layers import Layer, Repeat, Residual, Sequential
from jaccheck._network import Network

Layers = tuple[Layer, ...]
Place = tuple[int, ...]
"""Where a layer is: its index in the network, then in the container there, and so on."""
Candidates = Iterator[Callable[[], Network]]
"""Networks that may take another's place, made one at a time; InvalidProblem where the parts don't fit together."""


def places(network: Network) -> Iterator[tuple[Place, Layer, tuple[int, ...]]]:
    """Each layer, containers first, with the shape of a sample that comes to it."""

    def walk(layers: Layers, at: Place, shape: tuple[int, ...]) -> Iterator[tuple[Place, Layer, tuple[int, ...]]]:
        for i, layer in enumerate(layers):
            yield (*at, i), layer, shape
            if isinstance(layer, (Sequential, Residual, Repeat)):
                yield from walk(layer.layers, (*at, i), shape)
            shape = layer.follow(shape)

    yield from walk(network.layers, (), network.inputs)


def put(network: Network, place: Place, *layers: Layer) -> Network:
    """`network` with these layers in the place of one."""

    def within(inside: Layers, at: Place) -> Layers:
        i, *deeper = at
        if not deeper:
            return (*inside[:i], *layers, *inside[i + 1 :])
        container: Any = inside[i]
        changed = replace(container, layers=within(container.layers, tuple(deeper)))
        return (*inside[:i], changed, *inside[i + 1 :])

    return replace(network, layers=within(network.layers, place))


def changed(network: Network, place: Place, **fields: Any) -> Network:
    """`network` with these fields of a layer changed."""
    layer = {at: layer for at, layer, _ in places(network)}[place]
    return put(network, place, replace(layer, **fields))
