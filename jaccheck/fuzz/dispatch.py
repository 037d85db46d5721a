"""The crew at work: who is busy with what, what came of it, and a new process where one has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass
from math import inf
from typing import Any

from jaccheck._errors import InvalidProblem
from jaccheck.fuzz.crew import Loss, Worker

GRACE = 10.0  # seconds that a network in hand may take when the time is up
PATIENCE = 120.0  # seconds without any worker
FALSE_STARTS = 3  # of a process that dies before it has done anything
STARTING = "starting"


@dataclass
class Job:
    """What a worker is busy with, and what to do with what comes of it, or if the worker dies of it."""

    worker: int
    done: Callable[[Any], None]
    lost: Callable[[Loss], None]
    doing: str
    """In a word; `STARTING` is a process that is no use as yet."""
    killed: bool = False


class Dispatch:
    """The jobs of `crew`. A worker that has one network in hand for more than `timeout` seconds is replaced.

    So is one that dies, or that is still at it long after no time is `left`; `event` is told of each.
    """

    def __init__(
        self,
        crew: Sequence[Worker],
        timeout: float | None,
        left: Callable[[], float],
        event: Callable[[str, int, str], None],
    ) -> None:
        self.began = inf
        """When the first worker was there, as `time.monotonic` has it."""
        self._crew, self._timeout, self._left, self._event = crew, timeout, left, event
        self._to_start = set(range(len(crew)))
        self._false_starts = 0
        self._jobs: dict[Future[Any], Job] = {}
        self._last = time.monotonic()  # somebody worked

    def free(self) -> Iterator[int]:
        """The workers that have nothing to do."""
        busy = {job.worker for job in self._jobs.values()}
        yield from (worker for worker in range(len(self._crew)) if worker not in busy)

    def start_if_needed(self, worker: int) -> bool:
        """Start a free worker that isn't there, and say whether that was so."""
        if worker not in self._to_start:
            return False
        self._to_start.remove(worker)
        future = self._crew[worker].start()
        self._jobs[future] = Job(worker, lambda _: self._started(worker), self._stillborn, STARTING)
        return True

    def submit(
        self,
        worker: int,
        done: Callable[[Any], None],
        lost: Callable[[Loss], None],
        doing: str,
        work: Callable[..., Any],
        *arguments: Any,
    ) -> None:
        """Give a free worker something to do."""
        self._jobs[self._crew[worker].submit(work, *arguments)] = Job(worker, done, lost, doing)

    @property
    def working(self) -> bool:
        """Whether anybody works.

        Raises:
            InvalidProblem: for a long time nobody has, since no process started.
        """
        if any(job.doing != STARTING for job in self._jobs.values()):
            self._last = time.monotonic()
            return True
        if self._jobs and time.monotonic() - self._last > PATIENCE:
            raise InvalidProblem(f"no worker has been there for {PATIENCE:.0f} s")
        return False

    @property
    def idle(self) -> bool:
        """Whether nobody has anything to do, not even to start."""
        return not self._jobs

    def doing(self) -> tuple[str, ...]:
        """What each worker does, in a word."""
        doing = {job.worker: job.doing for job in self._jobs.values()}
        return tuple(doing.get(worker, "idle") for worker in range(len(self._crew)))

    def gather(self, seconds: float) -> None:
        """Hand on what has been done, after waiting a while for it if there is nothing."""
        done, _ = wait(self._jobs, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            job = self._jobs.pop(future)
            try:
                result = future.result()
            except (BrokenExecutor, CancelledError):
                self._lost(job)
            else:
                job.done(result)
        for job in self._jobs.values():
            self._look_after(job)

    def _look_after(self, job: Job) -> None:
        worker = self._crew[job.worker]
        worker.attend()
        hangs = self._timeout is not None and worker.busy_for() > self._timeout
        if not job.killed and (hangs or (self._left() < -GRACE and worker.busy_for())):
            job.killed = True
            worker.kill("hung" if hangs else "abandoned")

    def _started(self, worker: int) -> None:
        self._crew[worker].started()
        self.began = min(self.began, time.monotonic())
        self._false_starts = 0

    def _stillborn(self, loss: Loss) -> None:
        self._false_starts += 1
        if self._false_starts == FALSE_STARTS:
            raise InvalidProblem(f"no worker starts: {' '.join(loss.said.split())}")

    def _lost(self, job: Job) -> None:
        """A worker's process has ended: say so, and let another one take its place."""
        loss = self._crew[job.worker].loss()
        self._to_start.add(job.worker)
        self._event(loss.kind, job.worker, loss.said)
        job.lost(loss)
