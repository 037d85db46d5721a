"""What makes libraries stumble, and in which share of the networks it is.

``python tests/strategies/features.py [EXAMPLES]`` prints the table that stands in CONTRIBUTING.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from jaccheck import Network, jacobian
from jaccheck._activations import ACTIVATIONS
from jaccheck._containers import Layer, Repeat, Residual, Switch, within
from jaccheck._history import HOOKS
from jaccheck._layers import Dropout, Flatten, Linear
from jaccheck._values import DTYPES
from jaccheck.fuzz.features import FEATURES as DESCRIBED
from jaccheck.fuzz.features import Described, containers
from jaccheck.strategies import EVERYTHING, networks
from jaccheck.strategies.drawing import collected


def drawn(strategy: SearchStrategy[Network], examples: int) -> list[Network]:
    """The same networks in each run, as `fuzz` draws them."""
    return collected(strategy, count=examples, seed=0)


class Built(Described):
    """A network with what its layers get and give."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.hooks = {hook.kind for hook in network.hooks}
        self.model, self.x = network.build()
        self.parameters = list(self.model.parameters())
        self.arguments: list[tuple[nn.Module, Tensor]] = []
        for module in self.model.modules():
            module.register_forward_hook(lambda module, inputs, _: self.arguments.append((module, inputs[0])))
        with torch.no_grad():
            self.f: Tensor = self.model(self.x)

    @property
    def finite_samples(self) -> Tensor:
        return self.x.detach().flatten(1).isfinite().all(1)

    @cached_property
    def jacobian(self) -> dict[str, Tensor]:
        return jacobian(*self.network.build(), seed=self.network.seed)

    def entries_above(self, size: float) -> bool:
        return any(bool(((j.abs() > size) & j.isfinite()).any()) for j in self.jacobian.values())

    def arguments_of(self, *kinds: type) -> list[Tensor]:
        return [z for module, z in self.arguments if isinstance(module, kinds)]


def tiny(tensor: Tensor) -> bool:
    return bool(((tensor != 0) & (tensor.abs() < torch.finfo(tensor.dtype).tiny)).any())


def repeated_rows(tensor: Tensor) -> bool:
    return len(tensor) > 1 and len(tensor.flatten(1).unique(dim=0)) < len(tensor)


def _weight_frozen(layer: Layer) -> bool:
    return isinstance(layer, Linear) and layer.bias is not None and layer.frozen == ("weight",)


KINKED = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.Softshrink,
    nn.Hardshrink,
)  # at 0, but for some parameters

IF_ASKED = (
    "a function for a layer",
    "left to chance",
    "x retains its gradient",
    "used before",
    "used before with BackPACK",
    *(f"hook: {kind}" for kind in HOOKS),
    "layers registered last first",
    "tied parameters",
    "own containers",
    "modules in the other mode",
)
FEATURES: dict[str, Callable[[Built], bool]] = {
    **{name: has for name, has in DESCRIBED.items() if name not in IF_ASKED},
    "square weight": lambda b: any(p.dim() == 2 and p.shape[0] == p.shape[1] > 1 for p in b.parameters),
    "a width over 64": lambda b: any(max(p.shape) > 64 for p in b.parameters),
    **{f"in {dtype}": lambda b, dtype=dtype: b.network.dtype == dtype for dtype in DTYPES},
    **{f"{name}": lambda b, name=name: any(a.name == name for a in b.activations) for name in ACTIVATIONS},
    "Flatten": lambda b: any(isinstance(layer, Flatten) for layer in b.layers),
    "x not contiguous": lambda b: not b.x.is_contiguous(),
    "x with an offset": lambda b: b.x.storage_offset() > 0,
    "numbers all integers": lambda b: all(bool((p == p.round()).all()) for p in (*b.parameters, b.x)),
    "repeated samples": lambda b: repeated_rows(b.x),
    "a sample of zeros": lambda b: bool((b.x.flatten(1) == 0).all(1).any()) and len(b.x) > 0,
    "repeated units": lambda b: any(repeated_rows(p) for p in b.parameters if p.dim() == 2),
    "at a kink at 0": lambda b: any(bool((z == 0).any()) for z in b.arguments_of(*KINKED)),
    "a ReLU layer all dead": lambda b: any(z.numel() > 0 and bool((z <= 0).all()) for z in b.arguments_of(nn.ReLU)),
    "saturated": lambda b: any(bool((z.abs() > 20).any()) for z in b.arguments_of(nn.Sigmoid, nn.Tanh, nn.LogSigmoid)),
    "subnormal parameters": lambda b: any(map(tiny, b.parameters)),
    "subnormal outputs": lambda b: tiny(b.f),
    "NaN or infinity in x": lambda b: not bool(b.x.isfinite().all()),
    "that in some samples only": lambda b: 0 < int((~b.x.flatten(1).isfinite().all(1)).sum()) < len(b.x),
    "overflow": lambda b: bool(b.x.isfinite().all()) and not bool(b.f.isfinite().all()),
    "all outputs 0": lambda b: b.f.numel() > 0 and bool((b.f == 0).all()),
}
OPTIONAL: dict[str, Callable[[Built], bool]] = {
    **{name: DESCRIBED[name] for name in IF_ASKED},
    "a layer used twice": lambda b: any(isinstance(c, Repeat) and not c.tied for c in b.containers),
    "residual sums": lambda b: any(isinstance(c, Residual) for c in b.containers),
    "two residual sums": lambda b: sum(isinstance(c, Residual) for c in b.containers) > 1,
    "a residual sum in another": lambda b: any(
        isinstance(c, Residual) and any(isinstance(inner, Residual) for inner in containers(c.layers))
        for c in b.containers
    ),
    "a layer used four times": lambda b: any(
        isinstance(c, Repeat) and not c.tied and c.times > 3 for c in b.containers
    ),
    "a layer used twice, its weight frozen": lambda b: any(
        isinstance(c, Repeat) and not c.tied and any(_weight_frozen(layer) for layer in within(c.layers))
        for c in b.containers
    ),
    "two Dropouts in training mode": lambda b: (
        b.network.training and sum(isinstance(layer, Dropout) and layer.p > 0 for layer in b.layers) > 1
    ),
    "a part that isn't active": lambda b: any(isinstance(c, Switch) for c in b.containers),
    "Dropout in evaluation mode": lambda b: not b.network.random and any(isinstance(a, Dropout) for a in b.layers),
    "used before with another part active": lambda b: (
        bool(b.network.used_before) and any(isinstance(c, Switch) for c in b.containers)
    ),
    "hooks of the forward pass": lambda b: bool(b.hooks & {"forward", "forward_pre", "clone", "retain_grad"}),
    "hooks of the backward pass": lambda b: bool(b.hooks & {"backward", "backward_pre", "gradient", "accumulate_grad"}),
    "retained gradients": lambda b: "retain_grad" in b.hooks,
    "one sample overflows": lambda b: 0 < int((~b.f.isfinite().all(1) & b.finite_samples).sum()) < len(b.x),
}
"""What networks have only if asked for it."""
OF_JACOBIANS: dict[str, Callable[[Built], bool]] = {
    "Jacobian entries near the largest number": lambda b: b.entries_above(torch.finfo(b.x.dtype).max / 4),
    "subnormal Jacobian entries": lambda b: any(map(tiny, b.jacobian.values())),
}
"""What takes a Jacobian to see."""


def shares(
    strategy: SearchStrategy[Network], examples: int, features: Mapping[str, Callable[[Built], bool]] = FEATURES
) -> dict[str, float]:
    """For each feature the share of networks that have it."""
    counts: Counter[str] = Counter()
    found = drawn(strategy, examples)
    for network in found:
        built = Built(network)
        counts.update(name for name, has in features.items() if has(built))
    return {name: counts[name] / len(found) for name in features}


def table(found: Mapping[str, float], columns: int = 3) -> str:
    """In Markdown, column by column."""
    cells = [f"{name} | {100 * share:.1f} %" for name, share in found.items()]
    rows = -(-len(cells) // columns)
    cells += [" | "] * (rows * columns - len(cells))
    head = [["feature | share"] * columns, ["--- | ---"] * columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*head, *(cells[row::rows] for row in range(rows))])


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(table(shares(networks(**EVERYTHING), count, FEATURES | OPTIONAL | OF_JACOBIANS)))
