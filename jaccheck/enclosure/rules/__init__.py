"""One rule for each layer, activation and function, read from the files of this folder when they are asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from torch import nn

from jaccheck.enclosure.rules._rule import TABLE, Factory
from jaccheck.enclosure.rules._rule import Random as Random
from jaccheck.enclosure.rules._rule import Rule as Rule
from jaccheck.enclosure.rules._rule import Wire as Wire


@cache
def rules() -> Mapping[Any, Factory]:
    """Layer classes, functions and names of tensor methods, and what makes the rule of a call of each."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return TABLE


def layer_call(layer: nn.Module, wires: tuple[Wire, ...]) -> Rule:
    """The rule of a layer that has one."""
    factory = rules()[type(layer)]
    found = {name: getattr(layer, name, _MISSING) for name in _parameters(factory)[len(wires) :]}
    return factory(*wires, **{name: value for name, value in found.items() if value is not _MISSING})


_MISSING = object()


@cache
def _parameters(factory: Factory) -> tuple[str, ...]:
    return tuple(inspect.signature(factory).parameters)
