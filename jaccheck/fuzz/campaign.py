"""A campaign: the controller of the workers, who hands out what is to be done and gathers what came of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from jaccheck.fuzz.chasing import Chased, chase
from jaccheck.fuzz.crew import CallingWorker, Worker
from jaccheck.fuzz.database import opened
from jaccheck.fuzz.exploring import Batch, explore, replay
from jaccheck.fuzz.finding import Failure, Finding, recognized
from jaccheck.fuzz.interrupt import first_ctrl_c
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.logread import findings_of, left_of, summary_of
from jaccheck.fuzz.plan import Plan, Slice
from jaccheck.fuzz.record import Keep, Record
from jaccheck.fuzz.replaying import Earlier, Replays
from jaccheck.fuzz.rounds import Rounds
from jaccheck.fuzz.summary import Summary

GO = 0.5  # seconds that a worker explores in one go: what is lost if everything dies


@dataclass
class Job:
    """What a worker is busy with, and what to do with what comes of it."""

    worker: int
    done: Callable[[Any], None]


class Campaign:
    """One run of `plan` by `crew`; `watch` is called after each network, or several, and `keep` with each finding.

    With a `log` of an earlier run it goes on where that ended.
    """

    def __init__(
        self,
        plan: Plan,
        crew: Sequence[Worker] | None = None,
        *,
        log: Log | None = None,
        watch: Callable[[Summary], None] = lambda summary: None,
        keep: Keep = lambda finding: None,
    ) -> None:
        self.plan, self.watch = plan, watch
        self.summary = Summary(plan) if log is None else summary_of(log.db, plan)
        self.crew = [CallingWorker()] if crew is None else list(crew)
        for worker in self.crew:
            worker.watch = self._glance
        self._record = Record(self.summary, log, keep)
        self._before = self.summary.seconds
        self._rounds = Rounds(plan, *((0, ()) if log is None else left_of(log.db, plan)))
        self._chases: deque[tuple[int, Finding]] = deque()
        for finding, network, _ in () if log is None else findings_of(log.db):
            if finding.unfinished and network is not None:
                self._chases.append((network, finding))
        self._replays = Replays(plan, opened(plan.database), len(self.crew))
        self._jobs: dict[Future[Any], Job] = {}
        self._ending: str | None = None if self.summary.ok or plan.keep_going else "finding"
        """Why no more is explored."""

    def run(self) -> Summary:
        """Draw and check networks until the plan is done, something is found, or Ctrl-C.

        Raises:
            InvalidProblem: no network can be drawn within the plan's limits.
            LogFailure: the log can't be written any more.
        """
        self._start = time.monotonic()
        left = inf if self.plan.seconds is None else self.plan.seconds - self._before
        self._deadline = self._start + left
        try:
            with first_ctrl_c(lambda: self._end("interrupted")):
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
            self.summary.seconds = self._elapsed()
        return self.summary

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._start

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
            self._submit(worker, lambda chased: self._chased(worker, chased), chase, index, finding, left)
        elif self._ending is None:
            earlier = self._replays.take(worker, begins=not self._rounds.busy(worker))
            if earlier is not None:
                self._submit(worker, lambda found: self._replayed(worker, earlier, found), replay, earlier.finding)
            elif (part := self._rounds.take(worker)) is not None:
                self._explore(worker, part, min(GO, left))

    def _explore(self, worker: int, part: Slice, seconds: float) -> None:
        spent = {law: self.summary.spent[law] for law in self.plan.turns[1]}
        done = lambda batch: self._explored(worker, part, batch)  # noqa: E731
        self._submit(worker, done, explore, part, self._record.listed, spent, seconds)

    def _submit(self, worker: int, done: Callable[[Any], None], work: Callable[..., Any], *arguments: Any) -> None:
        future = self.crew[worker].submit(work, self.plan, *arguments)
        self._jobs[future] = Job(worker, done)

    def _gather(self) -> None:
        """Take what has been done, and wait for it if there is nothing."""
        done, _ = wait(self._jobs, timeout=0.1, return_when=FIRST_COMPLETED)
        for future in done:
            self._jobs.pop(future).done(future.result())
        self._record.flush(self._elapsed())
        self.watch(self.summary)

    def _explored(self, worker: int, part: Slice, batch: Batch) -> None:
        if batch.exhausted:
            self._rounds.exhausted(worker)
        else:
            self._rounds.give_back(worker, replace(part, first=batch.done))
        found = recognized(batch.found, self._record.listed)  # others may have found the same meanwhile
        new = [finding for failure, finding in found.items() if failure not in self._record.listed]
        for row in batch.rows:
            self._record.row(row, worker)
        self._found(worker, new, batch.rows[-1].index if batch.rows else None)
        if batch.interrupted:
            self._end("interrupted")

    def _found(self, worker: int, new: Sequence[Finding], network: int | None) -> None:
        """Note new findings at once; those on network number `network` are then made smaller."""
        for finding in new if self.plan.keep_going else new[:1]:
            self._record.found(replace(finding, unfinished=network is not None), worker, network)
            if network is not None and self._ending != "interrupted":
                self._chases.append((network, finding))
        if new and not self.plan.keep_going and self._ending is None:
            self._end("finding")

    def _chased(self, worker: int, chased: Chased) -> None:
        self.summary.chasing -= 1
        self.summary.shrinking += chased.tried
        self.summary.spent["shrinking"] += chased.seconds
        self._record.smaller(chased.finding, worker)
        self._replays.add(worker, chased.finding)
        if chased.interrupted:
            self._end("interrupted")

    def _replayed(self, worker: int, earlier: Earlier, found: dict[Failure, Finding]) -> None:
        self.summary.replayed += 1
        found = recognized(found, self._record.listed)
        self._record.again(found)
        self._found(worker, [f for f in found.values() if f.failure not in self._record.listed], None)
        self._replays.done(earlier, shown=bool(found))

    def _glance(self, doing: str) -> None:
        self.watch(self.summary)
