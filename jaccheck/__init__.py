"""Verify batched Jacobians in PyTorch: every path, element by element, against a proven rounding enclosure."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaccheck._check import assert_agreement as assert_agreement
from jaccheck._check import check as check
from jaccheck._check import compare_tensor_lists as compare_tensor_lists
from jaccheck._errors import Disagreement as Disagreement
from jaccheck._errors import InvalidProblem as InvalidProblem
from jaccheck._errors import Unsupported as Unsupported
from jaccheck._report import Report as Report
from jaccheck._report import Verdict as Verdict
from jaccheck.bench.benchmark import benchmark as benchmark
from jaccheck.bench.costs import Benchmark as Benchmark
from jaccheck.enclosure import Ball as Ball
from jaccheck.enclosure import enclosure as enclosure
from jaccheck.paths import Path as Path
from jaccheck.paths import jacobian as jacobian
from jaccheck.paths import paths as paths
from jaccheck.paths import register_path as register_path

if TYPE_CHECKING:
    from jaccheck._network import Network as Network

    from . import cli as cli
    from . import strategies as strategies

_LAZY = {"Network": "jaccheck._network"}  # loaded when asked for
_SUBMODULES = ("cli", "strategies")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _SUBMODULES:
        return import_module(f"jaccheck.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
