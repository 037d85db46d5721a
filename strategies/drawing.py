"""Hypothesis as a source of examples, outside of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.internal.conjecture.choice import ChoiceTemplate
from hypothesis.internal.conjecture.data import Overrun
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

    with _each_drawn_anew():
        each()


def collected(strategy: SearchStrategy[T], *, count: int, seed: str | int) -> list[T]:
    """What `visited` would visit."""
    found: list[T] = []
    visited(strategy, found.append, count=count, seed=seed)
    return found


@contextmanager
def _each_drawn_anew() -> Iterator[None]:
    """Each example is drawn anew, and all of it.

    Hypothesis follows an example with some in which parts are copies of one another. Where that matters our strategies
    do it themselves, and of 1,000 networks in a row hardly more than half differ in their sizes. And of the first ones,
    up to a hundred, it makes every second one but for its beginning of what is simplest: ``Linear(1)`` of zeros.
    """
    right = ConjectureRunner.cached_test_function

    def whole(runner: ConjectureRunner, choices: Sequence[Any], **options: Any) -> Any:
        begun = len(choices) > 1 and isinstance(choices[-1], ChoiceTemplate)
        return Overrun if begun else right(runner, choices, **options)

    with patch.multiple(
        ConjectureRunner, generate_mutations_from=lambda runner, data: None, cached_test_function=whole
    ):
        yield
