"""Hypothesis as a source of examples, outside of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def visited(
    strategy: SearchStrategy[T], visit: Callable[[T], object], *, count: int, seed: str | int, shrink: bool = False
) -> None:
    """Call `visit` with `count` examples, or somewhat more or fewer; the same seed gives the same ones.

    With `shrink`, and once it raises, it gets smaller and smaller ones with which it does; its exception comes out.
    """

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    @hypothesis.given(strategy)
    def each(example: T) -> None:
        visit(example)

    each()


def collected(strategy: SearchStrategy[T], *, count: int, seed: str | int) -> list[T]:
    """What `visited` would visit."""
    found: list[T] = []
    visited(strategy, found.append, count=count, seed=seed)
    return found
