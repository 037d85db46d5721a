"""What a network has of that which makes libraries stumble, as far as its description tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import isfinite, prod

from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._containers import CONTAINERS, LAYERS, Layer, Repeat, Sequential, within
from jaccheck._history import HOOKS
from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck._values import DTYPES, Values


def leaves(network: Network) -> list[Layer]:
    """Its layers without the containers, in the order in which they are applied, repetitions once."""
    return list(within(network.layers))


def containers(layers: Sequence[Layer]) -> Iterator[Layer]:
    """All layers that have others inside."""
    for layer in layers:
        if isinstance(layer, CONTAINERS):
            yield layer
            yield from containers(layer.layers)


def kinds(network: Network) -> tuple[str, ...]:
    """The names of its layers and containers, each once, sorted; "Linear", "Tanh", …"""

    def inside(some: Sequence[Layer]) -> Iterator[str]:
        for layer in some:
            yield layer.name if isinstance(layer, Activation) else type(layer).__name__
            if isinstance(layer, CONTAINERS):
                yield from inside(layer.layers)

    return tuple(sorted(set(inside(network.layers))))


class Described:
    """A network and its layers."""

    def __init__(self, network: Network) -> None:
        self.network, self.layers = network, leaves(network)
        self.containers = list(containers(network.layers))
        self.linears = [layer for layer in self.layers if isinstance(layer, Linear)]
        self.activations = [layer for layer in self.layers if isinstance(layer, Activation)]

    def pairs(self, first: type, second: type) -> bool:
        return any(isinstance(a, first) and isinstance(b, second) for a, b in pairwise(self.layers))

    def values(self) -> Iterator[Values]:
        yield self.network.x
        for linear in self.linears:
            yield linear.weight
            if linear.bias is not None:
                yield linear.bias


Feature = Callable[[Described], bool]


def _hidden(n: int) -> Feature:
    return lambda d: len(d.linears) - 1 == n


def _hooked(kind: str) -> Feature:
    return lambda d: any(hook.kind == kind for hook in d.network.hooks)


def _integers(values: Values) -> bool:
    fixed = values.kind in ("cycle", "choice") and values.exponent >= 0
    return fixed and all(type(n) is int for n in (*values.numbers, *(number for _, number in values.put)))


def _some_not_finite(d: Described) -> bool:
    """As far as numbers are concerned that are put into x."""
    size = prod(d.network.inputs)
    put = ((i // size % max(d.network.batch, 1), number) for i, number in d.network.x.put)
    some = {n for n, number in put if not isfinite(float(number))}
    return 0 < len(some) < d.network.batch and d.network.x_layout != "expanded"


FEATURES: dict[str, Feature] = {
    **{f"{n} hidden layers": _hidden(n) for n in range(9)},
    "N = 0": lambda d: d.network.batch == 0,
    "N = 1": lambda d: d.network.batch == 1,
    "N from 2 to 4": lambda d: 2 <= d.network.batch <= 4,
    "N over 4": lambda d: d.network.batch > 4,
    "C = 1": lambda d: d.network.outputs == 1,
    "C over 4": lambda d: d.network.outputs > 4,
    "N = C": lambda d: d.network.outputs == d.network.batch > 1,
    "a width over 16": lambda d: any(linear.width > 16 for linear in d.linears),
    "activations that all paths do": lambda d: all(a.name in CORE for a in d.activations),
    "parameters of an activation": lambda d: any(a.parameters for a in d.activations),
    "a function for a layer": lambda d: any(a.functional for a in d.activations),
    "no activation": lambda d: not d.activations,
    "two Linears in a row": lambda d: d.pairs(Linear, Linear),
    "two activations in a row": lambda d: d.pairs(Activation, Activation),
    "an activation last": lambda d: bool(d.layers) and isinstance(d.layers[-1], Activation),
    "an activation first": lambda d: bool(d.layers) and isinstance(d.layers[0], Activation),
    "nested Sequentials": lambda d: any(isinstance(layer, Sequential) for layer in d.network.layers),
    "a Linear without bias": lambda d: any(linear.bias is None for linear in d.linears),
    "frozen parameters": lambda d: any(linear.frozen for linear in d.linears),
    "evaluation mode": lambda d: not d.network.training,
    "x requires grad": lambda d: d.network.x_requires_grad,
    "x not contiguous": lambda d: d.network.x_layout in ("transposed", "strided", "expanded"),
    "x with an offset": lambda d: d.network.x_layout == "offset",
    "repeated samples": lambda d: 0 < d.network.x.rows < d.network.batch,
    "numbers put in on purpose": lambda d: any(values.put for values in d.values()),
    "scaled numbers": lambda d: any(values.exponent for values in d.values()),
    "left to chance": lambda d: d.network.random,
    "x retains its gradient": lambda d: d.network.x_retains_grad,
    "used before": lambda d: bool(d.network.used_before),
    "used before with BackPACK": lambda d: d.network.used_before == "backpack",
    **{f"hook: {kind}": _hooked(kind) for kind in HOOKS},
    "a layer by itself": lambda d: d.network.bare,
    "layers registered last first": lambda d: (
        len(d.linears) > 1 and any(isinstance(layer, Sequential) and layer.last_first for layer in d.network.layers)
    ),
    "tied parameters": lambda d: any(isinstance(c, Repeat) and c.tied for c in d.containers),
    "own containers": lambda d: any(isinstance(c, Sequential) and c.own for c in d.containers),
    "integers alone": lambda d: all(map(_integers, d.values())),
    "some samples not finite": _some_not_finite,
    "modules in the other mode": lambda d: bool(d.network.other_mode),
}
"""In the order of their bits in a log; a new one goes to the end. Dtypes and kinds of layers are features, too."""


def features(network: Network) -> int:
    """Bit i is set iff the network has feature i of `FEATURES`."""
    described = Described(network)
    return sum(1 << bit for bit, has in enumerate(FEATURES.values()) if has(described))


def named(bits: int, dtype: str, layers: Sequence[str]) -> list[str]:
    """The features that are set in `bits`, and the others."""
    return [*(name for bit, name in enumerate(FEATURES) if bits >> bit & 1), f"in {dtype}", *layers]


_LAYERS = tuple(name for name in LAYERS if name != "Activation")
ALL = (*FEATURES, *(f"in {dtype}" for dtype in DTYPES), *_LAYERS, *ACTIVATIONS)
"""What a campaign may come across."""
