"""One rule for each layer, activation and function, read from the files of this folder when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from jaccheck.enclosure.rules._rule import TABLE, Factory
from jaccheck.enclosure.rules._rule import Rule as Rule
from jaccheck.enclosure.rules._rule import Wire as Wire
from jaccheck.enclosure.rules._rule import layer_call as layer_call


@cache
def rules() -> Mapping[Any, Factory]:
    """Layer classes, functions and names of tensor methods, and what makes the rule of a call of each."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return TABLE
