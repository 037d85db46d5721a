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
    factory = rules()[known_as(type(layer)) or type(layer)]
    found = {name: getattr(layer, name, _MISSING) for name in takes(factory)[len(wires) :]}
    return factory(*wires, **{name: value for name, value in found.items() if value is not _MISSING})


def known_as(kind: type) -> type | None:
    """The class whose rule holds for `kind`, too: itself, or the one from which it has all that the rule reads.

    None: there is none.
    """
    own: set[str] = set()
    for base in kind.__mro__:
        if base in rules():
            return None if own & {"forward", *takes(rules()[base])} else base
        own |= vars(base).keys()
    return None


_MISSING = object()


@cache
def takes(factory: Factory) -> tuple[str, ...]:
    """The names of what a rule is made of."""
    return tuple(inspect.signature(factory).parameters)
