"""Hypothesis as a source of examples, outside of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.internal.conjecture.engine import ConjectureRunner
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

    with _without_mutations():
        each()


def collected(strategy: SearchStrategy[T], *, count: int, seed: str | int) -> list[T]:
    """What `visited` would visit."""
    found: list[T] = []
    visited(strategy, found.append, count=count, seed=seed)
    return found


@contextmanager
def _without_mutations() -> Iterator[None]:
    """Each example is drawn anew.

    Hypothesis follows an example with some in which parts are copies of one another. Where that matters our strategies
    do it themselves, and of 1,000 networks in a row hardly more than half differ in their sizes.
    """
    if not hasattr(ConjectureRunner, "generate_mutations_from"):
        yield
        return
    with patch.object(ConjectureRunner, "generate_mutations_from", lambda runner, data: None):
        yield
