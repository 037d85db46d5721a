"""Verify batched Jacobians in PyTorch: every path, element by element, against a proven rounding enclosure."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaccheck._enclosure import enclosure
from jaccheck._errors import Disagreement, InvalidProblem, Unsupported
from jaccheck.enclosure import Ball
from jaccheck.paths import Path, jacobian, paths, register_path

if TYPE_CHECKING:
    from jaccheck._check import assert_agreement, check, compare_tensor_lists
    from jaccheck._network import Network
    from jaccheck._report import Report, Verdict
    from jaccheck.bench.benchmark import benchmark
    from jaccheck.bench.costs import Benchmark

    from . import cli as cli
    from . import strategies as strategies

__all__ = [
    "Ball",
    "Benchmark",
    "Disagreement",
    "InvalidProblem",
    "Network",
    "Path",
    "Report",
    "Unsupported",
    "Verdict",
    "assert_agreement",
    "benchmark",
    "check",
    "compare_tensor_lists",
    "enclosure",
    "jacobian",
    "paths",
    "register_path",
]

# Loaded when asked for, so that importing jaccheck takes little; not so what has the name of a package.
_LAZY = {
    "assert_agreement": "jaccheck._check",
    "check": "jaccheck._check",
    "compare_tensor_lists": "jaccheck._check",
    "Network": "jaccheck._network",
    "Report": "jaccheck._report",
    "Verdict": "jaccheck._report",
    "benchmark": "jaccheck.bench.benchmark",
    "Benchmark": "jaccheck.bench.costs",
}
_SUBMODULES = ("cli", "strategies")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return value
    if name in _SUBMODULES:
        return import_module(f"jaccheck.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_SUBMODULES]
