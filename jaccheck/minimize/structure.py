"""Fewer layers, plainer containers, and less that happens to the model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

from jaccheck._containers import CONTAINERS, Repeat, Sequential, Switch
from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck.minimize.numbers import of_tensor, tensors
from jaccheck.minimize.places import Candidates, Place, changed, places, put


def without_layers(network: Network) -> Candidates:
    """Runs of layers left out, long ones first."""
    count = len(network.layers)
    length = count - 1
    while length > 1:
        for first in range(0, count - length + 1):
            layers = (*network.layers[:first], *network.layers[first + length :])
            yield partial(replace, network, layers=layers)
        length //= 2
    for place, _, _ in places(network):
        yield partial(put, network, place)


def unwrapped(network: Network) -> Candidates:
    """Containers replaced by what is in them, and modules of our own by torch's."""
    for place, layer, _ in places(network):
        if isinstance(layer, CONTAINERS):
            yield partial(put, network, place, *layer.layers)
        if isinstance(layer, Switch):
            yield partial(changed, network, place, other=())
            yield partial(changed, network, place, other=layer.layers)
        if isinstance(layer, Repeat) and layer.times > 2:
            yield partial(changed, network, place, times=2)
        if isinstance(layer, Repeat) and layer.tied:
            yield partial(changed, network, place, tied=False)
        if isinstance(layer, Sequential) and layer.own:
            yield partial(changed, network, place, own=False, last_first=False)
        if isinstance(layer, Sequential) and layer.last_first:
            yield partial(changed, network, place, last_first=False)


def merged(network: Network) -> Candidates:
    """Two linear layers, one right behind the other, as the one that does the same."""
    linears = [(place, layer, shape) for place, layer, shape in places(network) if isinstance(layer, Linear)]
    for (place, first, shape), (behind, second, _) in pairwise(linears):
        if behind == (*place[:-1], place[-1] + (1 if place[-1] >= 0 else -1)):
            yield partial(_merged, network, place, first, behind, second, shape[0])


def _merged(network: Network, place: Place, first: Linear, behind: Place, second: Linear, fan_in: int) -> Network:
    dtype, hidden = network.dtype, first.width or fan_in
    V, b = tensors(second, hidden, dtype)
    W, a = tensors(first, fan_in, dtype)
    bias = of_tensor(V @ a + b) if first.bias is not None or second.bias is not None else None
    frozen = () if bias is None else second.frozen
    return put(put(network, behind), place, Linear(second.width or hidden, of_tensor(V @ W), bias, frozen))


def fewer_steps(network: Network) -> Candidates:
    """Nothing happens to the model, or has happened, or half as much, or a quarter less, and so on."""
    for name in ("steps", "hooks", "other_mode"):
        before = getattr(network, name)
        size = len(before)
        while size:
            for i in range(0, len(before), size):
                yield partial(replace, network, **{name: (*before[:i], *before[i + size :])})
            size //= 2
