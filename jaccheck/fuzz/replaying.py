"""Earlier failures, which each worker tries before anything else, and those that others find meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jaccheck._finding import CRASH, FORWARD, PROCESS, WORKER, Finding
from jaccheck.fuzz.crew import CallingWorker, Worker
from jaccheck.fuzz.database import Database
from jaccheck.fuzz.plan import Plan


@dataclass(frozen=True)
class Earlier:
    """A finding of the database."""

    value: bytes
    finding: Finding
    old: bool
    """It was there when the campaign began."""


class Replays:
    """What each of `crew` has still to try of the database."""

    def __init__(self, plan: Plan, database: Database | None, crew: Sequence[Worker]) -> None:
        self._plan, self._database = plan, database
        self._queues: list[deque[Earlier]] = [deque() for _ in crew]
        self._seen: list[set[bytes]] = [set() for _ in crew]
        self._replaceable = [not isinstance(worker, CallingWorker) for worker in crew]
        self._old = frozenset() if database is None else frozenset(database.findings())

    def take(self, worker: int, *, begins: bool) -> Earlier | None:
        """The next for `worker`, who looks for new ones when it `begins` a round."""
        queue, seen = self._queues[worker], self._seen[worker]
        if begins and not queue and self._database is not None:
            for value, finding in self._database.findings().items():
                deadly = finding.failure.property == PROCESS and not self._replaceable[worker]
                if value not in seen and not deadly and _fits(self._plan, finding):
                    queue.append(Earlier(value, finding, value in self._old))
                seen.add(value)
        return queue.popleft() if queue else None

    def add(self, finding: Finding, worker: int | None) -> None:
        """What `worker` has found is for the others to try; if None, for later runs alone."""
        if self._database is not None:
            value = self._database.add(finding)
            for seen in self._seen if worker is None else [self._seen[worker]]:
                seen.add(value)

    def done(self, earlier: Earlier, *, shown: bool) -> None:
        """Forget what an earlier run has found and what shows no more."""
        if self._database is not None and earlier.old and not shown:
            self._database.remove(earlier.value)

    def close(self) -> None:
        """Leave the database."""
        if self._database is not None:
            self._database.close()


def _fits(plan: Plan, finding: Finding) -> bool:
    """Whether the plan asks what `finding` was found by."""
    failure, network = finding.failure, finding.network
    path = failure.path in (*plan.paths, FORWARD, CRASH, WORKER)
    asked = path and failure.property in (*plan.properties, FORWARD, CRASH, PROCESS)
    return asked and network.dtype in plan.dtypes and network.device in plan.devices
