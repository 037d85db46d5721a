"""Where the layers of a network are, and networks with others in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from jaccheck._containers import CONTAINERS, Layer, Switch
from jaccheck._network import Network

Layers = tuple[Layer, ...]
Place = tuple[int, ...]
"""Where a layer is: its index in the network, then in the container there, and so on; ``~i`` is the i-th of those that
a Switch has in place of its layers."""
Candidates = Iterator[Callable[[], Network]]
"""Networks that may take another's place, made one at a time; InvalidProblem where the parts don't fit together."""


def places(network: Network) -> Iterator[tuple[Place, Layer, tuple[int, ...]]]:
    """Each layer, containers first, with the shape of a sample that comes to it."""

    def walk(
        layers: Layers, at: Place, shape: tuple[int, ...], instead: bool = False
    ) -> Iterator[tuple[Place, Layer, tuple[int, ...]]]:
        for i, layer in enumerate(layers):
            place = (*at, ~i if instead else i)
            yield place, layer, shape
            if isinstance(layer, CONTAINERS):
                yield from walk(layer.layers, place, shape)
            if isinstance(layer, Switch):
                yield from walk(layer.other, place, shape, instead=True)
            shape = layer.follow(shape)

    yield from walk(network.layers, (), network.inputs)


def put(network: Network, place: Place, *layers: Layer) -> Network:
    """`network` with these layers in the place of one."""

    def within(inside: Layers, at: Place) -> Layers:
        i, *deeper = at
        i = max(i, ~i)
        if not deeper:
            return (*inside[:i], *layers, *inside[i + 1 :])
        container: Any = inside[i]
        field = "other" if deeper[0] < 0 else "layers"
        changed = replace(container, **{field: within(getattr(container, field), tuple(deeper))})
        return (*inside[:i], changed, *inside[i + 1 :])

    return replace(network, layers=within(network.layers, place))


def changed(network: Network, place: Place, **fields: Any) -> Network:
    """`network` with these fields of a layer changed."""
    layer = {at: layer for at, layer, _ in places(network)}[place]
    return put(network, place, replace(layer, **fields))


def everywhere(layers: Layers, change: Callable[[Layer], Layer]) -> Layers:
    """`layers`, and all inside them, changed at once: one by one they wouldn't fit to each other."""

    def inside(layer: Layer) -> Layer:
        if isinstance(layer, Switch):
            return replace(layer, layers=everywhere(layer.layers, change), other=everywhere(layer.other, change))
        if isinstance(layer, CONTAINERS):
            return replace(layer, layers=everywhere(layer.layers, change))
        return change(layer)

    return tuple(map(inside, layers))
