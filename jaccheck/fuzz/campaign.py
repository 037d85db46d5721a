"""A campaign: the controller of the workers, who hands out what is to be done and gathers what came of it."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from types import FrameType
from typing import Any

from jaccheck.fuzz.chasing import Chased, chase
from jaccheck.fuzz.crew import CallingWorker, Worker
from jaccheck.fuzz.database import Database, opened
from jaccheck.fuzz.exploring import Batch, explore, replay
from jaccheck.fuzz.finding import Failure, Finding
from jaccheck.fuzz.plan import Plan, Slice
from jaccheck.fuzz.rounds import Rounds
from jaccheck.fuzz.summary import Summary

GO = 0.5  # seconds that a worker explores in one go: what is lost if everything dies


@dataclass
class Job:
    """What a worker is busy with, and what to do with what comes of it."""

    worker: int
    done: Callable[[Any], None]


class Campaign:
    """One run of `plan` by `crew`; `watch` is called after each network, or several, and `keep` with each finding."""

    def __init__(
        self,
        plan: Plan,
        crew: Sequence[Worker] | None = None,
        *,
        watch: Callable[[Summary], None] = lambda summary: None,
        keep: Callable[[Finding], None] = lambda finding: None,
    ) -> None:
        self.plan, self.watch, self.keep = plan, watch, keep
        self.summary = Summary(plan)
        self.crew = [CallingWorker()] if crew is None else list(crew)
        for worker in self.crew:
            worker.watch = self._glance
        self._rounds = Rounds(plan)
        self._jobs: dict[Future[Any], Job] = {}
        self._chases: deque[tuple[int, Finding]] = deque()
        self._database: Database | None = opened(plan.database)
        self._replays: list[deque[tuple[bytes, Finding]]] = [deque() for _ in self.crew]
        self._replayed: list[set[bytes]] = [set() for _ in self.crew]
        self._ending: str | None = None
        """Why no more is explored."""

    def run(self) -> Summary:
        """Draw and check networks until the plan is done, something is found, or Ctrl-C.

        Raises:
            InvalidProblem: no network can be drawn within the plan's limits.
        """
        start = time.monotonic()
        self._deadline = inf if self.plan.seconds is None else start + self.plan.seconds
        try:
            with self._asking_to_stop():
                while True:
                    self._assign()
                    if not self._jobs:
                        break
                    self._gather()
        except KeyboardInterrupt:
            self._ending = "interrupted"
        finally:
            for worker in self.crew:
                worker.close()
            self.summary.stopped = self._ending or "examples"
            self.summary.seconds = time.monotonic() - start
        return self.summary

    @contextmanager
    def _asking_to_stop(self) -> Iterator[None]:
        """The first Ctrl-C takes effect after the networks at hand, a second one at once.

        Raised in the middle of one, it would get lost now and then: in a callback of the garbage collector, say.
        """
        ours = threading.current_thread() is threading.main_thread()
        if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._end("interrupted")

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _end(self, why: str) -> None:
        """Explore no more; after an interruption, don't shrink any more, either."""
        self._ending = why
        if why == "interrupted":
            self._chases.clear()
            for worker in self.crew:
                worker.stop()

    def _assign(self) -> None:
        """Give each worker that is free something to do."""
        busy = {job.worker for job in self._jobs.values()}
        for number in range(len(self.crew)):
            if number not in busy:
                self._give(number)

    def _give(self, worker: int) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0 and self._ending is None:
            self._end("seconds")
        if self._chases and left > 0:
            index, finding = self._chases.popleft()
            self.summary.chasing += 1
            self._submit(worker, self._chased, chase, index, finding, left)
        elif self._ending is None:
            self._look_up(worker)
            if self._replays[worker]:
                value, finding = self._replays[worker].popleft()
                self._submit(worker, lambda found: self._replay_done(worker, value, finding, found), replay, finding)
                return
            part = self._rounds.take(worker)
            if part is not None:
                listed = frozenset(finding.failure for finding in self.summary.findings)
                spent = {law: self.summary.spent[law] for law in self.plan.turns[1]}
                self._submit(
                    worker,
                    lambda batch: self._explored(worker, part, batch),
                    explore,
                    part,
                    listed,
                    spent,
                    min(GO, left),
                )

    def _submit(self, worker: int, done: Callable[[Any], None], work: Callable[..., Any], *arguments: Any) -> None:
        future = self.crew[worker].submit(work, self.plan, *arguments)
        self._jobs[future] = Job(worker, done)

    def _gather(self) -> None:
        """Take what has been done, and wait for it if there is nothing."""
        done, _ = wait(self._jobs, timeout=0.1, return_when=FIRST_COMPLETED)
        for future in done:
            self._jobs.pop(future).done(future.result())
        if done:
            self.watch(self.summary)

    def _explored(self, worker: int, part: Slice, batch: Batch) -> None:
        if batch.exhausted:
            self._rounds.exhausted(worker)
        else:
            self._rounds.give_back(worker, replace(part, first=batch.done))
        listed = {finding.failure for finding in self.summary.findings}
        for row in batch.rows:
            self.summary.count(row)
            self.summary.again.update(listed.intersection(row.failures))
        if batch.found:
            self._found(batch.rows[-1].index, [f for f in batch.found.values() if f.failure not in listed])
        if batch.interrupted:
            self._end("interrupted")

    def _found(self, index: int, findings: list[Finding]) -> None:
        """Note new findings at once, and let them be made smaller."""
        for finding in findings if self.plan.keep_going else findings[:1]:
            finding = replace(finding, unfinished=True)
            self.summary.findings.append(finding)
            self.keep(finding)
            if self._ending != "interrupted":
                self._chases.append((index, finding))
        if not self.plan.keep_going and self._ending is None:
            self._end("finding")

    def _chased(self, chased: Chased) -> None:
        summary = self.summary
        summary.chasing -= 1
        summary.shrinking += chased.tried
        summary.spent["shrinking"] += chased.seconds
        place = next(i for i, f in enumerate(summary.findings) if f.failure == chased.finding.failure)
        summary.findings[place] = chased.finding
        self.keep(chased.finding)
        if self._database is not None:
            self._database.add(chased.finding)
        if chased.interrupted:
            self._end("interrupted")

    def _look_up(self, worker: int) -> None:
        """Queue what is new in the database, as often as the worker begins a round."""
        if self._database is None or self._rounds.busy(worker) or self._replays[worker]:
            return
        for value, finding in self._database.findings().items():
            if value not in self._replayed[worker] and _fits(self.plan, finding):
                self._replayed[worker].add(value)
                self._replays[worker].append((value, finding))

    def _replay_done(self, worker: int, value: bytes, finding: Finding, found: dict[Failure, Finding]) -> None:
        self.summary.replayed += 1
        listed = {finding.failure for finding in self.summary.findings}
        self.summary.again.update(listed & found.keys())
        new = [replace(f, paths=self.plan.paths) for f in found.values() if f.failure not in listed]
        for small in new if self.plan.keep_going else new[:1]:
            self.summary.findings.append(small)
            self.keep(small)
        if new and not self.plan.keep_going and self._ending is None:
            self._end("finding")
        if not found and self._database is not None:
            self._database.remove(value)

    def _glance(self, doing: str) -> None:
        self.watch(self.summary)


def _fits(plan: Plan, finding: Finding) -> bool:
    """Whether the plan asks what `finding` was found by."""
    failure, network = finding.failure, finding.network
    return (
        (failure.path in plan.paths or failure.path == failure.property)
        and (failure.property in plan.properties or failure.path == failure.property)
        and network.dtype in plan.dtypes
        and network.device in plan.devices
    )
