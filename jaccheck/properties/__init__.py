"""The laws that every path has to keep, one file each."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Protocol, runtime_checkable

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck.judging.case import Case
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path
from jaccheck.properties.batching import Batching
from jaccheck.properties.determinism import Determinism
from jaccheck.properties.enclosure import Enclosure
from jaccheck.properties.every_input import EveryInput
from jaccheck.properties.exact import Exact
from jaccheck.properties.forms import Forms
from jaccheck.properties.layout import Layout
from jaccheck.properties.sequence import Sequence
from jaccheck.properties.sizes import Sizes
from jaccheck.properties.state import State


class Property(Protocol):
    """One statement that must hold of every path on every problem."""

    @property
    def name(self) -> str:
        """What it is called in reports and on the command line; its file's name."""

    @property
    def cheap(self) -> bool:
        """Whether one or two calls on the problem do, so that `fuzz` asks it of each network; others take turns."""

    def judge(self, trial: Trial) -> Verdict:
        """Whether it holds of the trial's path on the trial's problem."""


@runtime_checkable
class WithCases(Protocol):
    """A property that judges Jacobians of other problems than the trial's, or by something else than the enclosure."""

    def cases(self, problem: Problem, path: Path) -> Iterable[Case]:
        """All that its verdict on `path` rests on."""


@runtime_checkable
class WithVariants(WithCases, Protocol):
    """Such a property whose verdict tells of the first of several problems on which a path is wrong."""

    def of(self, trial: Trial, problem: Problem) -> Verdict | None:
        """What it would tell if `problem`, one of its cases, were the first; None if nothing is wrong there."""

    def misvalued(self, problem: Problem) -> Problem | None:
        """The first of several whose own values are wrong; None if there is none."""


@runtime_checkable
class WithArgument(Protocol):
    """A property that `check` can be told more, here and on the command line: ``name:argument``."""

    def with_argument(self, text: str) -> Property:
        """It, told so; InvalidProblem if it can't be."""


PROPERTIES: dict[str, Property] = {
    p.name: p
    for p in (
        Enclosure(),
        State(),
        Determinism(),
        Exact(),
        EveryInput(),
        Sizes(),
        Forms(),
        Batching(),
        Layout(),
        Sequence(),
    )
}
DEFAULT = ("enclosure", "state")
"""Those of `check`, where none are named."""


def get(name: str) -> Property:
    """The property called `name`, which may have an argument behind a colon.

    Raises:
        InvalidProblem: there is none, or it takes no such argument.
    """
    plain, colon, argument = name.partition(":")
    law = PROPERTIES.get(plain)
    if law is None:
        near = get_close_matches(plain, PROPERTIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidProblem(f"no property is called {plain!r}, the properties are {', '.join(PROPERTIES)}{hint}")
    if not colon:
        return law
    if not isinstance(law, WithArgument):
        raise InvalidProblem(f"the property {plain!r} takes no argument, but {argument!r} is given")
    return law.with_argument(argument)
