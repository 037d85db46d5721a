"""Earlier failures, which each worker tries before anything else, and those that others find meanwhile."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from jaccheck.fuzz.database import Database
from jaccheck.fuzz.finding import Finding
from jaccheck.fuzz.plan import Plan


@dataclass(frozen=True)
class Earlier:
    """A finding of the database."""

    value: bytes
    finding: Finding
    old: bool
    """It was there when the campaign began."""


class Replays:
    """What each of `workers` has still to try of the database."""

    def __init__(self, plan: Plan, database: Database | None, workers: int) -> None:
        self._plan, self._database = plan, database
        self._queues: list[deque[Earlier]] = [deque() for _ in range(workers)]
        self._seen: list[set[bytes]] = [set() for _ in range(workers)]
        self._old = frozenset() if database is None else frozenset(database.findings())

    def take(self, worker: int, *, begins: bool) -> Earlier | None:
        """The next for `worker`, who looks for new ones when it `begins` a round."""
        queue, seen = self._queues[worker], self._seen[worker]
        if begins and not queue and self._database is not None:
            for value, finding in self._database.findings().items():
                if value not in seen and _fits(self._plan, finding):
                    queue.append(Earlier(value, finding, value in self._old))
                seen.add(value)
        return queue.popleft() if queue else None

    def add(self, worker: int, finding: Finding) -> None:
        """What `worker` has found is for the others."""
        if self._database is not None:
            self._seen[worker].add(self._database.add(finding))

    def done(self, earlier: Earlier, *, shown: bool) -> None:
        """Forget what an earlier run has found and what shows no more."""
        if self._database is not None and earlier.old and not shown:
            self._database.remove(earlier.value)


def _fits(plan: Plan, finding: Finding) -> bool:
    """Whether the plan asks what `finding` was found by."""
    failure, network = finding.failure, finding.network
    general = failure.path == failure.property  # no path is accused
    asked = failure.path in plan.paths and failure.property in plan.properties
    return (general or asked) and network.dtype in plan.dtypes and network.device in plan.devices
