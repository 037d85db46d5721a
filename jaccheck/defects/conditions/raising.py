"""Defects that show as an exception."""

from __future__ import annotations

from jaccheck._problem import Problem
from jaccheck.paths import Path


def raises(problem: Problem, path: Path, *, message: str, batch: int, layer: str) -> bool:
    """Whether the path raises an exception that says `message`, on that many samples and a model with such a layer."""
    if batch != problem.N or not any(type(module).__name__ == layer for module in problem.model.modules()):
        return False
    try:
        path.jacobian(problem.model, problem.x)
    except Exception as error:  # of whatever class: its message tells
        return message in str(error)
    return False
