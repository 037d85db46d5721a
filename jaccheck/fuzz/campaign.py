"""A campaign: the controller of the workers, who hands out what is to be done and gathers what came of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from jaccheck._finding import Failure, Finding, recognized
from jaccheck.fuzz.chasing import Chased, chase
from jaccheck.fuzz.crew import CallingWorker, Loss, Worker
from jaccheck.fuzz.database import opened
from jaccheck.fuzz.dispatch import GRACE, Dispatch
from jaccheck.fuzz.drawing import drawn
from jaccheck.fuzz.exploring import Batch, alone, explore, replay
from jaccheck.fuzz.interrupt import first_ctrl_c
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.logread import findings_of, left_of, summary_of
from jaccheck.fuzz.plan import Plan, Slice
from jaccheck.fuzz.record import Keep, Record
from jaccheck.fuzz.replaying import Earlier, Replays
from jaccheck.fuzz.rounds import Rounds
from jaccheck.fuzz.summary import Summary
from jaccheck.fuzz.suspects import Suspect

GO = 0.5  # seconds that a worker explores in one go: what is lost if everything dies
DOING = {explore: "exploring", chase: "shrinking", replay: "replaying", alone: "retrying"}


class Campaign:
    """One run of `plan` by `crew`; `watch` is called after each network, or several, and `keep` with each finding.

    With a `log` of an earlier run it goes on where that ended. A worker that has one network in hand for more than
    `timeout` seconds is replaced, as is one that dies.
    """

    def __init__(
        self,
        plan: Plan,
        crew: Sequence[Worker] | None = None,
        *,
        log: Log | None = None,
        timeout: float | None = None,
        watch: Callable[[Summary], None] = lambda summary: None,
        keep: Keep = lambda finding: None,
    ) -> None:
        self.plan, self.timeout, self.watch = plan, timeout, watch
        self.summary = Summary(plan) if log is None else summary_of(log.db, plan)
        self.crew = [CallingWorker()] if crew is None else list(crew)
        for worker in self.crew:
            worker.watch = self._glance
        self._record = Record(self.summary, log, keep)
        self._dispatch = Dispatch(self.crew, timeout, self._left, self._record.event)
        self._before = self.summary.seconds
        self._rounds = Rounds(plan, *((0, ()) if log is None else left_of(log.db, plan)))
        self._chases: deque[tuple[int, Finding]] = deque()
        for finding, network, _ in () if log is None else findings_of(log.db):
            if finding.unfinished and network is not None:
                self._chases.append((network, finding))
        self._replays = Replays(plan, opened(plan.database), self.crew)
        self._suspects: deque[Suspect] = deque()
        self._ending: str | None = None if self.summary.ok or plan.keep_going else "finding"
        """Why no more is explored."""

    def run(self) -> Summary:
        """Draw and check networks until the plan is done, something is found, or Ctrl-C.

        Raises:
            InvalidProblem: no network can be drawn within the plan's limits, no worker starts, or there is no reaching
                the cluster any more.
            LogFailure: the log can't be written any more.
            Exception: what `keep` raises.
        """
        try:
            with first_ctrl_c(lambda: self._end("interrupted")):
                while True:
                    for free in self._dispatch.free():
                        self._give(free)
                    if self._over():
                        break
                    self._gather(0.1)
        except KeyboardInterrupt:
            self._ending = "interrupted"
            self._gather(0)
        finally:
            for worker in self.crew:
                worker.close()
            self._replays.close()
            self.summary.stopped = self._ending or "examples"
            self.summary.seconds = self._elapsed()
            while self._suspects:
                self._conclude(self._suspects.popleft(), None)
            self._record.catch_up()
        return self.summary

    def _over(self) -> bool:
        """Whether nothing is being done and nothing is left to do, or nobody is left who could."""
        if self._dispatch.working:
            return False
        ended = self._ending is not None or self._rounds.finished
        return self._dispatch.idle or (ended and not self._suspects and not self._chases)

    def _elapsed(self) -> float:
        return self._before + max(0.0, time.monotonic() - self._dispatch.began)

    def _left(self) -> float:
        """Seconds until the time is up."""
        return inf if self.plan.seconds is None else self.plan.seconds - self._elapsed()

    def _end(self, why: str) -> None:
        """Explore no more; after an interruption, don't shrink any more, either."""
        self._ending = why
        if why == "interrupted":
            self._chases.clear()
            for worker in self.crew:
                worker.stop()

    def _give(self, worker: int) -> None:
        """Something to do, if there is anything."""
        left = self._left()
        if left <= 0 and self._ending is None:
            self._end("seconds")
        if self._ending is not None and not self._chases and not self._suspects:
            return
        if self._dispatch.start_if_needed(worker):
            return
        if self._suspects and left > -GRACE and self._ending != "interrupted":
            self._examine(worker, self._suspects.popleft())
        elif self._chases and left > 0:
            self._chase(worker, *self._chases.popleft(), left)
        elif self._ending is None:
            earlier = self._replays.take(worker, begins=not self._rounds.busy(worker))
            if earlier is not None:
                self._replay(worker, earlier)
            elif (part := self._rounds.take(worker)) is not None:
                self._explore(worker, part, min(GO, left))

    def _submit(
        self,
        worker: int,
        done: Callable[[Any], None],
        lost: Callable[[Loss], None],
        work: Callable[..., Any],
        *arguments: Any,
    ) -> None:
        self._dispatch.submit(worker, done, lost, DOING[work], work, self.plan, *arguments)

    def _gather(self, seconds: float) -> None:
        self._dispatch.gather(seconds)
        self._record.flush(self._elapsed())
        self.summary.crew = self._dispatch.doing() if len(self.crew) > 1 else ()
        self.watch(self.summary)

    def _explore(self, worker: int, part: Slice, seconds: float) -> None:
        def lost(loss: Loss) -> None:
            self._rounds.leave(worker)
            if self._note_suspect(loss, numbered=True):
                place = loss.in_hand.index - part.index(0)
                self._rounds.put(replace(part, last=place), replace(part, first=place + 1))
            elif len(part) == 1 and loss.kind != "abandoned":
                (network,) = drawn(self.plan, part)
                self._suspects.append(Suspect(loss, network, part.index(part.first), self.plan.paths))
            else:  # one by one, to see which it was
                self._rounds.put(*part.singly())

        listed, spent = self._record.listed, dict(self.summary.spent)
        self._submit(worker, lambda b: self._explored(worker, part, b), lost, explore, part, listed, spent, seconds)

    def _explored(self, worker: int, part: Slice, batch: Batch) -> None:
        if batch.exhausted:
            self._rounds.exhausted(worker)
        else:
            self._rounds.give_back(worker, replace(part, first=batch.done))
        self._count(worker, batch)

    def _count(self, worker: int, batch: Batch) -> None:
        found = recognized(batch.found, self._record.listed)  # others may have found the same meanwhile
        new = [finding for failure, finding in found.items() if failure not in self._record.listed]
        for row in batch.rows:
            self._record.row(row, worker)
        self._found(worker, new, batch.rows[-1].index if batch.rows else None)
        if batch.interrupted:
            self._end("interrupted")

    def _found(self, worker: int, new: Sequence[Finding], network: int | None) -> None:
        """Note new findings at once; those on network number `network` are then made smaller."""
        for finding in new:
            self._record.found(replace(finding, unfinished=network is not None), worker, network)
            if network is not None and self._ending != "interrupted":
                self._chases.append((network, finding))
        if new and not self.plan.keep_going and self._ending is None:
            self._end("finding")

    def _chase(self, worker: int, index: int, finding: Finding, left: float) -> None:
        def done(chased: Chased) -> None:
            self.summary.chasing -= 1
            self.summary.shrinking += chased.tried
            self.summary.spent["shrinking"] += chased.seconds
            self._record.smaller(chased.finding, worker)
            self._replays.add(chased.finding, worker)
            if chased.interrupted:
                self._end("interrupted")

        def lost(loss: Loss) -> None:
            self.summary.chasing -= 1
            self._note_suspect(loss, numbered=False)

        self.summary.chasing += 1
        self._submit(worker, done, lost, chase, index, finding, left)

    def _replay(self, worker: int, earlier: Earlier) -> None:
        def done(found: dict[Failure, Finding]) -> None:
            self.summary.replayed += 1
            found = recognized(found, self._record.listed)
            self._record.again(found)
            self._found(worker, [f for f in found.values() if f.failure not in self._record.listed], None)
            self._replays.done(earlier, shown=bool(found))

        def lost(loss: Loss) -> None:
            self._note_suspect(loss, numbered=False)

        self._submit(worker, done, lost, replay, earlier.finding)

    def _note_suspect(self, loss: Loss, *, numbered: bool) -> bool:
        """Note the network that a worker died of, and say whether it is known.

        `numbered`: it is one of the plan's and has no row.
        """
        network, index = loss.in_hand.network, loss.in_hand.index
        if network is not None and loss.kind != "abandoned":
            self._suspects.append(Suspect(loss, network, index if numbered else None, self.plan.paths))
        return network is not None and loss.kind != "abandoned"

    def _examine(self, worker: int, suspect: Suspect) -> None:
        """Try the network of `suspect` once more; then path by path, to see which one it is."""

        def lost(loss: Loss) -> None:
            if path is None:
                self._suspects.appendleft(suspect)
            else:  # that the time is up is no fault of the path
                self._conclude(suspect, None if loss.kind == "abandoned" else path)

        path: str | None = None
        if suspect.index is not None and suspect.take_whole():
            part = self.plan.slice_of(suspect.index)

            def counted(batch: Batch) -> None:
                self._count(worker, batch)
                self._conclude(replace(suspect, index=None), None)

            self._submit(worker, counted, lost, explore, part, self._record.listed, {}, inf)
            return
        path = suspect.take_path(self._record.listed)
        if path is None:
            self._conclude(suspect, None)
        else:
            self._submit(worker, lambda _: self._suspects.appendleft(suspect), lost, alone, suspect.network, path)

    def _conclude(self, suspect: Suspect, path: str | None) -> None:
        """Report what a worker died of; `path` is the one that did it, if one did it by itself."""
        finding = suspect.finding(path, self.plan, self.timeout)
        new = finding.failure not in self._record.listed
        if suspect.index is not None:
            self._record.row(suspect.row(finding), 0)
        else:
            self._record.again([finding.failure])
        if new:
            self._record.found(finding, 0, suspect.index)
            self._replays.add(finding, None)

    def _glance(self, doing: str) -> None:
        self.watch(self.summary)
