"""Fewer samples and units, smaller layers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

from jaccheck._containers import Layer, Sequential
from jaccheck._layers import Activation, Dropout, Linear
from jaccheck._network import Network
from jaccheck.minimize.numbers import of_tensor, tensors
from jaccheck.minimize.places import Candidates, Place, changed, everywhere, places, put


def fewer_samples(network: Network) -> Candidates:
    """One sample, half of them, all but one."""
    if network.batch < 2:
        if network.batch == 0:
            yield partial(replace, network, batch=1)
        return
    rows = network.x.tensor((network.batch, *network.inputs), network.dtype)
    middle = network.batch // 2
    parts = [[n] for n in range(network.batch)] if network.batch <= 33 else [[0], [network.batch - 1]]
    parts += [list(range(middle)), list(range(middle, network.batch))]
    parts += [[k for k in range(network.batch) if k != n] for n in range(network.batch)] if network.batch <= 33 else []
    for kept in parts:
        yield partial(replace, network, batch=len(kept), x=of_tensor(rows[kept]))


def narrowed_together(network: Network) -> Candidates:
    """All widths, inputs and batches of one size made smaller at once: what is square stays so."""
    linears = [(place, layer) for place, layer, _ in places(network) if isinstance(layer, Linear)]
    sizes = {network.batch, *network.inputs, *(layer.width for _, layer in linears)}
    for size in sorted(sizes, reverse=True):
        for smaller in _smaller(size):
            yield partial(_resized, network, size, smaller)


def _resized(network: Network, size: int, smaller: int) -> Network:
    def narrow(layer: Layer) -> Layer:
        return replace(layer, width=smaller) if isinstance(layer, Linear) and layer.width == size else layer

    batch = smaller if network.batch == size else network.batch
    inputs = tuple(smaller if n == size else n for n in network.inputs)
    return replace(network, batch=batch, inputs=inputs, layers=everywhere(network.layers, narrow))


def narrowed(network: Network) -> Candidates:
    """Layers of fewer units, samples of fewer numbers, with whatever numbers then come to stand where."""
    if len(network.inputs) > 1:
        flat = (prod(network.inputs),)
        yield partial(replace, network, inputs=flat)
        yield partial(replace, network, inputs=(1,) * len(network.inputs))
    for i, size in enumerate(network.inputs):
        for smaller in _smaller(size):
            inputs = (*network.inputs[:i], smaller, *network.inputs[i + 1 :])
            yield partial(replace, network, inputs=inputs)
    for place, layer, _ in places(network):
        if isinstance(layer, Linear):
            for width in _smaller(layer.width):
                yield partial(changed, network, place, width=width)
            if layer.bias is not None:
                frozen = tuple(name for name in layer.frozen if name != "bias")
                yield partial(changed, network, place, bias=None, frozen=frozen)


def _smaller(size: int) -> list[int]:
    """Sizes to try in place of one."""
    return sorted({1, 2, 3, size // 2, size - 1} & set(range(1, size)))


def without_units(network: Network) -> Candidates:
    """One unit of a linear layer left out, or one number of each sample, the others as they are."""
    linears = [(place, layer, shape[0]) for place, layer, shape in places(network) if isinstance(layer, Linear)]
    behind = {place: _reader(network, place) for place, _, _ in linears}
    if len(network.inputs) == 1 and network.inputs[0] > 1 and (first := _reader(network, None)) is not None:
        for i in range(network.inputs[0]):
            yield partial(_without_input, network, first, i)
    for place, layer, fan_in in linears:
        for i in range(layer.width) if layer.width > 1 else ():
            yield partial(_without_unit, network, place, fan_in, behind[place], i)


def _reader(network: Network, place: Place | None) -> Place | None:
    """The linear layer that alone reads what the layer at `place` (None: the input) gives."""
    started = place is None
    for other, layer, _ in places(network):
        if started and isinstance(layer, Linear):
            return other
        if started and not isinstance(layer, (Activation, Dropout, Sequential)):
            return None
        started = started or other == place
    return None


def _without_unit(network: Network, place: Place, fan_in: int, reader: Place | None, i: int) -> Network:
    found = {at: layer for at, layer, _ in places(network)}
    layer: Any = found[place]
    weight, bias = tensors(layer, fan_in, network.dtype)
    kept = [k for k in range(len(weight)) if k != i]
    small = replace(
        layer,
        width=len(kept),
        weight=of_tensor(weight[kept]),
        bias=None if layer.bias is None else of_tensor(bias[kept]),
    )
    if reader is not None:
        network = _without_column(network, reader, len(weight), i)
    return put(network, place, small)


def _without_column(network: Network, place: Place, fan_in: int, i: int) -> Network:
    layer: Any = {at: layer for at, layer, _ in places(network)}[place]
    weight, _ = tensors(layer, fan_in, network.dtype)
    kept = [k for k in range(fan_in) if k != i]
    changed = replace(layer, width=layer.width or fan_in, weight=of_tensor(weight[:, kept]))
    return put(network, place, changed)


def _without_input(network: Network, reader: Place, i: int) -> Network:
    size = network.inputs[0]
    kept = [k for k in range(size) if k != i]
    x = network.x.tensor((network.batch, size), network.dtype)[:, kept]
    small = _without_column(network, reader, size, i)
    return replace(small, inputs=(len(kept),), x=of_tensor(x))
