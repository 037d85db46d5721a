"""What a campaign tries, and when it stops."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jaccheck._finding import Failure
from jaccheck.properties import get

ROUND = 500
"""Networks of one round: of one run of Hypothesis, which keeps all of a run in memory."""


@dataclass(frozen=True)
class Plan:
    """What to try, and when to stop."""

    seed: int
    paths: tuple[str, ...]
    properties: tuple[str, ...]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]
    seconds: float | None = None
    examples: int | None = None
    keep_going: bool = False
    known: bool = True
    """A known defect of the libraries is no finding."""
    database: str | None = None
    """Where failures of earlier runs and of other workers are, which are tried first: a folder or ``redis://…``."""
    folder: Path = Path("jaccheck-failures")
    load: tuple[str, ...] = ()
    """Modules that register paths: each worker imports them first."""

    @property
    def turns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The properties that are asked of each network, and those that take turns."""
        cheap = tuple(name for name in self.properties if get(name).cheap)
        return cheap, tuple(name for name in self.properties if name not in cheap)

    def question(self, failure: Failure) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths and properties that show `failure`, and no more."""
        paths = (failure.path,) if failure.path in self.paths else self.paths
        return paths, (failure.property,) if failure.property in self.properties else self.properties

    def data(self) -> dict[str, Any]:
        """This plan for JSON."""
        return {**asdict(self), "folder": os.fspath(self.folder)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that `data` gave."""
        lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
        return cls(**{**data, **lists, "folder": Path(data["folder"])})

    def round_size(self, number: int) -> int:
        """How many networks round `number` draws: the last one of a given number of examples may be short."""
        return ROUND if self.examples is None else max(0, min(ROUND, self.examples - number * ROUND))

    def slice_of(self, index: int) -> Slice:
        """Network number `index` alone."""
        number, place = divmod(index, ROUND)
        return Slice(number, self.round_size(number), place, place + 1)


@dataclass(frozen=True)
class Slice:
    """Networks `first` to `last` - 1 of round `number`, which draws `size` of them."""

    number: int
    size: int
    first: int
    last: int

    def index(self, place: int) -> int:
        """The number in the whole campaign of the network at `place` in the round."""
        return self.number * ROUND + place

    def singly(self) -> list[Slice]:
        """Each of its networks."""
        return [replace(self, first=place, last=place + 1) for place in range(self.first, self.last)]

    def __len__(self) -> int:
        return max(0, self.last - self.first)
