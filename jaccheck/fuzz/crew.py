"""The workers of a campaign, each an executor of one process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Protocol, TypeVar

from jaccheck.fuzz.hand import Hand, OwnHand

T = TypeVar("T")


class Worker(Protocol):
    """One at a time: what is submitted has been done before more is."""

    watch: Callable[[str], None]
    """Called with each network that it takes, where that can be seen."""

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        """Let it do ``work(*arguments, hand)``."""

    def stop(self) -> None:
        """Ask it to end what it does, which it does after the network at hand."""

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
    """The calling process."""

    def __init__(self) -> None:
        self.watch: Callable[[str], None] = lambda doing: None
        self._executor, self._hand = Calling(), OwnHand(lambda doing: self.watch(doing))

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        hand: Hand = self._hand
        return self._executor.submit(work, *arguments, hand)

    def stop(self) -> None:
        self._hand.stop = True

    def close(self) -> None:
        pass
