"""Errors that grow from call to call."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from jaccheck._problem import Problem
from jaccheck.diagnosis._shape import Likeness
from jaccheck.paths import Path

SHAPE = "accumulates over calls"


def doubled(first: Any, second: Any) -> Likeness | None:
    """The second call gives twice what the first gives."""
    if not isinstance(first, Mapping) or not isinstance(second, Mapping) or not _times(first, second, 2):
        return None
    return Likeness(SHAPE, "it accumulates over calls: the second gives twice what the first gives")


def accumulates(problem: Problem, path: Path) -> Likeness | None:
    """For a fresh model the second call gives twice what the first gives, and the third three times."""
    try:
        model, x = deepcopy(problem.model), problem.x.detach()
        results = []
        for _ in range(3):
            with problem.chance():
                results.append({k: j.clone() for k, j in path.jacobian(model, x).items()})
        first, second, third = results
    except Exception:  # a model that can't be copied, or a path that can't do it: then nothing is said
        return None
    finally:
        problem.before.restore()
    if not _times(first, second, 2) or not _times(first, third, 3):
        return None
    return Likeness(SHAPE, "it accumulates over calls: the k-th gives k times what the first gives")


def _times(first: Mapping[str, Tensor], other: Mapping[str, Tensor], k: int) -> bool:
    """Whether `other` is k times `first`, but for rounding, and neither is zero everywhere."""
    if first.keys() != other.keys() or not any(bool(j.isfinite().any()) and bool(j.any()) for j in first.values()):
        return False
    return all(
        other[name].shape == j.shape
        and torch.allclose(other[name].double(), k * j.double(), k * torch.finfo(j.dtype).eps, 0.0, equal_nan=True)
        for name, j in first.items()
    )
