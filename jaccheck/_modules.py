"""Modules as users write them, of which networks are built besides torch's own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from ._activations import ACTIVATIONS


class Functional(nn.Module):
    """An activation as a user's own module writes it."""

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        super().__init__()
        self.name, self.parameters_ = name, parameters

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = ACTIVATIONS[self.name].function(x, **self.parameters_)
        return result


class Chain(nn.Module):
    """A user's own container: its children one after another."""

    def __init__(self, layers: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        for i, layer in layers.items():
            self.add_module(f"layer{i}", layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x


class LastFirst(nn.Module):
    """Likewise, but registered last first: its parameters come in another order than they are used in."""

    def __init__(self, layers: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        for i in reversed(layers):
            self.add_module(f"layer{i}", layers[i])

    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(list(self.children())):
            x = layer(x)
        return x


class Sum(nn.Module):
    """``x + inner(x)``"""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.inner(x)
        return result


class Either(nn.Module):
    """One of its parts, as a model with several heads has it."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.active = 0

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.parts[self.active](x)
        return result
