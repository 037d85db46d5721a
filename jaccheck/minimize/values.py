"""Simpler numbers in place of others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod

from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck._values import Values
from jaccheck.minimize.numbers import all_at_once, one_by_one, written
from jaccheck.minimize.places import Candidates, places, put


def explicit(network: Network) -> Network:
    """The same network with its numbers written out."""
    small = replace(network, x=written(network.x, (network.batch, *network.inputs), network.dtype))
    for place, layer, shape in places(network):
        if isinstance(layer, Linear):
            small = put(small, place, _written(layer, shape[0], network.dtype))
    return small


def _written(layer: Linear, fan_in: int, dtype: str) -> Linear:
    width = layer.width or fan_in
    bias = None if layer.bias is None else written(layer.bias, (width,), dtype)
    return replace(layer, width=width, weight=written(layer.weight, (width, fan_in), dtype, fan_in), bias=bias)


def rewritten(network: Network) -> Candidates:
    """The numbers that are read, and no more."""
    yield partial(explicit, network)


def simpler_numbers(network: Network) -> Candidates:
    """Numbers replaced by 0, ±1, small integers and short dyadics: all of a tensor at once, then one by one."""
    size = network.batch * prod(network.inputs)
    for change in (all_at_once, one_by_one):
        for values in change(network.x, size, network.dtype):
            yield partial(replace, network, x=values)
        for place, layer, shape in places(network):
            if isinstance(layer, Linear):
                for name, count in (("weight", layer.width * shape[0]), ("bias", layer.width)):
                    before: Values | None = getattr(layer, name)
                    for values in () if before is None else change(before, count, network.dtype):
                        changed = replace(layer, **{name: values})  # type: ignore[arg-type]
                        yield partial(put, network, place, changed)
