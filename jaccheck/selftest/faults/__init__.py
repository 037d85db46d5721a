"""The bank of faults: one file a family, each a table `FAULTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from jaccheck.selftest.fault import Fault


@cache
def bank() -> Mapping[str, Fault]:
    """All faults by name, in the order of the families.

    Raises:
        ValueError: two faults have the same name.
    """
    found: dict[str, Fault] = {}
    for module in iter_modules(__path__):
        for fault in import_module(f"{__name__}.{module.name}").FAULTS:
            if fault.name in found:
                raise ValueError(f"two faults are called {fault.name!r}")
            found[fault.name] = replace(fault, family=module.name)
    return found


def families() -> tuple[str, ...]:
    """The names of the families."""
    return tuple(dict.fromkeys(fault.family for fault in bank().values()))
