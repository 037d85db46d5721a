"""The networks that `record` goes through: always the same ones, so that two records can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from jaccheck._activations import ACTIVATIONS
from jaccheck._containers import Layer, Repeat, Residual
from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck._values import DTYPES, Values

WIDE = ("ReLU", "ELU")


def networks(device: str = "cpu") -> Mapping[str, Network]:
    """The networks by name, ``float32 ELU``: every activation in every dtype, and what kernels may treat otherwise."""
    return MappingProxyType({name: replace(network, device=device) for name, network in _networks()})


def _networks() -> Iterator[tuple[str, Network]]:
    for dtype in DTYPES:
        for name in ACTIVATIONS:
            yield f"{dtype} {name}", _network(dtype, *_layers(name, 4, 3, 2), batch=3, inputs=5)
        for name in WIDE:  # sums long enough to be taken in blocks, and products large enough for another kernel
            yield f"{dtype} {name}, wide", _network(dtype, *_layers(name, 33, 2), batch=4, inputs=40)
        yield f"{dtype} Linear", _network(dtype, _linear(7), batch=5, inputs=9)
        yield f"{dtype} magnitudes", _network(dtype, *_layers("Tanh", 4, 2, kind="wide"), batch=3, inputs=6)
        repeated = (_linear(4), Residual((_linear(4), Activation("Tanh"))), Repeat((_linear(4),), times=2))
        yield f"{dtype} residual, repeated", _network(dtype, *repeated, batch=2, inputs=3)


def _layers(activation: str, *widths: int, kind: str = "uniform") -> Iterator[Layer]:
    """Linear layers of these widths, with the activation between them."""
    for i, width in enumerate(widths):
        if i:
            yield Activation(activation)
        yield _linear(width, kind, seed=2 * i)


def _linear(width: int, kind: str = "uniform", *, seed: int = 0) -> Linear:
    return Linear(width, weight=Values(kind, seed=seed), bias=Values(kind, seed=seed + 1))


def _network(dtype: str, *layers: Layer, batch: int, inputs: int) -> Network:
    return Network(layers, batch=batch, inputs=(inputs,), x=Values("uniform", seed=99), dtype=dtype)
