"""Ways to make a network a little smaller: each gives the networks that may take its place, the smallest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor

from jaccheck._activations import ACTIVATIONS
from jaccheck._layers import Activation, Dropout, Layer, Linear, Repeat, Residual, Sequential
from jaccheck._network import Network
from jaccheck._values import DTYPES, Values
from jaccheck.fuzz._numbers import all_at_once, of_tensor, one_by_one, total_cost, written

Layers = tuple[Layer, ...]
Place = tuple[int, ...]
"""Where a layer is: its index in the network, then in the container there, and so on."""
Candidates = Iterator[Callable[[], Network]]
"""Made one at a time; InvalidProblem where the parts don't fit together."""

PLAIN = ("ReLU", "Sigmoid", "Tanh")
"""Activations to try in place of others."""


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


def _changed(network: Network, place: Place, **fields: Any) -> Network:
    """`network` with these fields of a layer changed."""
    layer = {at: layer for at, layer, _ in places(network)}[place]
    return put(network, place, replace(layer, **fields))


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
        if isinstance(layer, (Sequential, Residual, Repeat)):
            yield partial(put, network, place, *layer.layers)
        if isinstance(layer, Repeat) and layer.times > 2:
            yield partial(_changed, network, place, times=2)
        if isinstance(layer, Repeat) and layer.tied:
            yield partial(_changed, network, place, tied=False)
        if isinstance(layer, Sequential) and layer.own:
            yield partial(_changed, network, place, own=False)


def merged(network: Network) -> Candidates:
    """Two linear layers, one right behind the other, as the one that does the same."""
    linears = [(place, layer, shape) for place, layer, shape in places(network) if isinstance(layer, Linear)]
    for (place, first, shape), (behind, second, _) in pairwise(linears):
        if behind == (*place[:-1], place[-1] + 1):
            yield partial(_merged, network, place, first, behind, second, shape[0])


def _merged(network: Network, place: Place, first: Linear, behind: Place, second: Linear, fan_in: int) -> Network:
    dtype, hidden = network.dtype, first.width or fan_in
    V, b = _tensors(second, hidden, dtype)
    W, a = _tensors(first, fan_in, dtype)
    bias = of_tensor(V @ a + b) if first.bias is not None or second.bias is not None else None
    frozen = () if bias is None else second.frozen
    return put(put(network, behind), place, Linear(second.width or hidden, of_tensor(V @ W), bias, frozen))


def _tensors(layer: Linear, fan_in: int, dtype: str) -> tuple[Tensor, Tensor]:
    width = layer.width or fan_in
    weight = layer.weight.tensor((width, fan_in), dtype, fan_in).double()
    bias = torch.zeros(width, device="cpu") if layer.bias is None else layer.bias.tensor((width,), dtype)
    return weight, bias.double()


def fewer_steps(network: Network) -> Candidates:
    """Nothing, or less, happens to the model."""
    if network.steps:
        yield partial(replace, network, steps=())
    for i in range(len(network.steps)):
        yield partial(replace, network, steps=(*network.steps[:i], *network.steps[i + 1 :]))


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
                yield partial(_changed, network, place, width=width)
            if layer.bias is not None:
                frozen = tuple(name for name in layer.frozen if name != "bias")
                yield partial(_changed, network, place, bias=None, frozen=frozen)


def narrowed_together(network: Network) -> Candidates:
    """All widths, inputs and batches of one size made smaller at once: what is square stays so."""
    linears = [(place, layer) for place, layer, _ in places(network) if isinstance(layer, Linear)]
    sizes = {network.batch, *network.inputs, *(layer.width for _, layer in linears)}
    for size in sorted(sizes, reverse=True):
        for smaller in _smaller(size):
            yield partial(_resized, network, size, smaller)


def _resized(network: Network, size: int, smaller: int) -> Network:
    batch = smaller if network.batch == size else network.batch
    small = replace(network, batch=batch, inputs=tuple(smaller if n == size else n for n in network.inputs))
    for place, layer, _ in places(network):
        if isinstance(layer, Linear) and layer.width == size:
            small = put(small, place, replace(layer, width=smaller))
    return small


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
    weight, bias = _tensors(layer, fan_in, network.dtype)
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
    weight, _ = _tensors(layer, fan_in, network.dtype)
    kept = [k for k in range(fan_in) if k != i]
    changed = replace(layer, width=layer.width or fan_in, weight=of_tensor(weight[:, kept]))
    return put(network, place, changed)


def _without_input(network: Network, reader: Place, i: int) -> Network:
    size = network.inputs[0]
    kept = [k for k in range(size) if k != i]
    x = network.x.tensor((network.batch, size), network.dtype)[:, kept]
    small = _without_column(network, reader, size, i)
    return replace(small, inputs=(len(kept),), x=of_tensor(x))


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


def plain(network: Network) -> Candidates:
    """Options as they are by default."""
    default = Network(layers=network.layers, inputs=network.inputs)
    for name in ("device", "x_layout", "x_requires_grad", "training"):
        if getattr(network, name) != getattr(default, name):
            yield partial(replace, network, **{name: getattr(default, name)})
    for dtype in DTYPES[: DTYPES.index(network.dtype)]:
        yield partial(replace, network, dtype=dtype)
    for place, layer, _ in places(network):
        if isinstance(layer, Linear) and layer.frozen:
            yield partial(_changed, network, place, frozen=())
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


def _smaller(size: int) -> list[int]:
    """Sizes to try in place of one."""
    return sorted({1, 2, 3, size // 2, size - 1} & set(range(1, size)))


def rewritten(network: Network) -> Candidates:
    """The numbers that are read, and no more."""
    yield partial(explicit, network)


Pass = Callable[[Network], Candidates]
PASSES: tuple[Pass, ...] = (
    without_layers,
    unwrapped,
    merged,
    fewer_steps,
    fewer_samples,
    narrowed_together,
    narrowed,
    without_units,
    rewritten,
    plain,
    simpler_numbers,
)


def measure(network: Network) -> tuple[float, ...]:
    """What makes a network smaller than another: layers and steps, numbers, options, how simple the numbers are."""
    every = [layer for _, layer, _ in places(network)]
    linears = [layer for layer in every if isinstance(layer, Linear)]
    samples = network.batch if network.batch else 1.5
    options = sum(_options(layer) for layer in every) + DTYPES.index(network.dtype)
    default = Network(layers=network.layers, inputs=network.inputs)
    names = ("device", "x_layout", "x_requires_grad", "training")
    options += sum(getattr(network, name) != getattr(default, name) for name in names)
    numbers = total_cost(network.x) + sum(total_cost(layer.weight) + total_cost(layer.bias) for layer in linears)
    return (
        len(every) + len(network.steps),
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
    return float(layer.own) if isinstance(layer, Sequential) else 0.0
