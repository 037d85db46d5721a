"""The laws that every path has to keep, one file each."""

from __future__ import annotations

from typing import Protocol

from jaccheck._report import Verdict
from jaccheck.properties._trial import Trial
from jaccheck.properties.determinism import Determinism
from jaccheck.properties.enclosure import Enclosure
from jaccheck.properties.state import State


class Property(Protocol):
    """One statement that must hold of every path on every problem."""

    @property
    def name(self) -> str:
        """What it is called in reports and on the command line; its file's name."""

    def judge(self, trial: Trial) -> Verdict:
        """Whether it holds of the trial's path on the trial's problem."""


PROPERTIES: dict[str, Property] = {p.name: p for p in (Enclosure(), State(), Determinism())}
DEFAULT = ("enclosure", "state")
