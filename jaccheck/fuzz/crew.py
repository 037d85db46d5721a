"""The workers of a campaign, each an executor of one process."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from jaccheck.fuzz.kernels import keep_few
from jaccheck.fuzz.progress import NOTHING, InHand, OwnProgress, Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Loss:
    """The end of a worker's process."""

    kind: str
    """"crashed", "hung", or "abandoned" (neither: the time was up, or it was interrupted)."""
    said: str
    """How it ended, and what it printed."""
    in_hand: InHand = NOTHING


class Worker(Protocol):
    """One at a time: what is submitted has been done before more is. A process that is gone breaks the future."""

    watch: Callable[[str], None]
    """Called with each network that it takes, where that can be seen."""

    def start(self) -> Future[int]:
        """Start its process, or another one in place of it."""

    def started(self) -> None:
        """Called once the future of `start` is done."""

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Let it do ``work(*arguments, progress)``."""

    def stop(self) -> None:
        """Ask it to end what it does, which it does after the network at hand."""

    def busy_for(self) -> float:
        """Seconds that it has had the network at hand; 0 if that can't be seen, or there is none."""

    def attend(self) -> None:
        """Called now and then, to see whether its process is there."""

    def kill(self, why: str) -> None:
        """End its process, which is "hung" or to be "abandoned"."""

    def loss(self) -> Loss:
        """What became of its process, which has ended."""

    def close(self) -> None:
        """Let it go, at once if it is busy."""


class Calling(Executor):
    """An executor in which whoever submits works himself."""

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class CallingWorker:
    """The calling process, which nobody can replace."""

    def __init__(self) -> None:
        self.watch: Callable[[str], None] = lambda doing: None
        self._executor, self._progress = Calling(), OwnProgress(lambda doing: self.watch(doing))
        self._freezes = False

    def start(self) -> Future[int]:
        keep_few()
        self._freezes = not gc.get_freeze_count()
        if self._freezes:  # what is there stays: collections needn't look through it each time
            gc.freeze()
        return self._executor.submit(int)

    def started(self) -> None:
        pass

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        progress: Progress = self._progress
        return self._executor.submit(work, *arguments, progress)

    def stop(self) -> None:
        self._progress.stop = True

    def busy_for(self) -> float:
        return 0.0

    def attend(self) -> None:
        pass

    def kill(self, why: str) -> None:
        raise NotImplementedError

    def loss(self) -> Loss:
        raise NotImplementedError

    def close(self) -> None:
        if self._freezes:
            gc.unfreeze()
