"""Workers of a Dask cluster, each reached by an executor of its own."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from hypothesis.errors import HypothesisDeprecationWarning

from jaccheck._errors import InvalidProblem
from jaccheck.fuzz.chasing import SHRINKING, chase
from jaccheck.fuzz.crew import Loss
from jaccheck.fuzz.kernels import keep_few
from jaccheck.fuzz.progress import OwnProgress

T = TypeVar("T")
EVERY = 0.5  # seconds between two questions to the scheduler
WAIT = 30.0  # seconds for the first worker of the cluster
SLACK = 5.0  # seconds that a go takes beside the network at hand: drawing, and the way there and back


class ClusterWorker:
    """The worker called `name`, which a nanny starts anew when it dies. Which network it has in hand can't be seen."""

    def __init__(self, client: Any, name: Any, load: tuple[str, ...]) -> None:
        self.watch: Callable[[str], None] = lambda doing: None
        self._client, self._name, self._load = client, name, load
        self._address: str | None = None
        self._executor: Executor | None = None
        self._waiting: Future[int] | None = None
        self._future: Future[Any] | None = None
        self._since, self._allowed, self._asked = 0.0, 0.0, 0.0
        self._killed = ""

    def start(self) -> Future[int]:
        """Wait until it is there, and let it make ready."""
        self._executor, self._future, self._killed = None, None, ""
        self._waiting = Future()
        self.attend()
        return self._waiting

    def started(self) -> None:
        self._waiting = None

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        assert self._executor is not None
        self._since = time.monotonic()
        self._allowed = SLACK + (SHRINKING if work is chase else 0.0)
        future = self._executor.submit(do, work, *arguments)
        self._future = future
        return future

    def stop(self) -> None:
        """It can't be told; a failure that it makes smaller is left as it is."""
        if self._future is not None and self._allowed > SLACK:
            self._killed = "abandoned"
            self._future.cancel()

    def busy_for(self) -> float:
        busy = self._waiting is None and self._future is not None and not self._future.done()
        return max(0.0, time.monotonic() - self._since - self._allowed) if busy else 0.0

    def attend(self) -> None:
        """Ask the scheduler whether it is there."""
        now = time.monotonic()
        if now - self._asked < EVERY:
            return
        self._asked = now
        address = self._place()
        if self._waiting is not None and self._executor is None:
            if address is not None:
                self._address = address
                self._executor = self._client.get_executor(workers=[address], pure=False)
                ready = self._executor.submit(make_ready, self._load)
                self._future = ready
                ready.add_done_callback(self._is_ready)
        elif address != self._address and self._future is not None:  # dead, or another process already
            self._future.cancel()

    def _place(self) -> str | None:
        """Its address, if it is there: another one for each process."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except OSError as error:
            raise InvalidProblem(f"the scheduler of the Dask cluster is gone: {error}") from error
        return next((address for address, facts in workers.items() if facts["name"] == self._name), None)

    def _is_ready(self, ready: Future[int]) -> None:
        waiting = self._waiting
        if waiting is None:
            return
        if ready.cancelled():
            waiting.cancel()
        elif (error := ready.exception()) is not None:
            waiting.set_exception(error)
        else:
            waiting.set_result(ready.result())

    def kill(self, why: str) -> None:
        self._killed = why
        address = self._place()
        if address is not None:
            self._client.restart_workers([address], timeout=WAIT, raise_for_error=False)
        if self._future is not None:
            self._future.cancel()

    def loss(self) -> Loss:
        return Loss(self._killed or "crashed", f"the worker {self._name} of the cluster is gone")

    def close(self) -> None:
        if self._future is not None:
            self._future.cancel()


def make_ready(load: tuple[str, ...]) -> int:
    """On the worker: one torch thread, and the modules of --load."""
    import torch

    from jaccheck._target import module_of

    torch.set_num_threads(1)
    keep_few()
    # the worker's other threads draw random numbers, too, which isn't our strategies' doing
    warnings.filterwarnings("ignore", category=HypothesisDeprecationWarning)
    for module in load:
        if module not in _loaded:
            module_of(module)
            _loaded.add(module)
    return os.getpid()


_loaded: set[str] = set()


def do(work: Callable[..., T], *arguments: Any) -> T:
    """On the worker: ``work(*arguments, progress)``"""
    return work(*arguments, OwnProgress(lambda doing: None))


@contextmanager
def reached(address: str, workers: int | None, load: tuple[str, ...]) -> Iterator[list[ClusterWorker]]:
    """The workers of the cluster whose scheduler is at `address`, at most as many as `workers`.

    Raises:
        InvalidProblem: dask.distributed isn't installed, or there is no scheduler, or no worker.
    """
    try:
        from distributed import Client
        from distributed.comm.addressing import resolve_address
    except ImportError as error:
        raise InvalidProblem("--dask needs dask.distributed: pip install 'jaccheck[cluster]'") from error
    try:
        resolve: Any = resolve_address
        connect: Any = Client
        resolve(address)  # a client that can't read the address takes a minute to go away, and says so
        client = connect(address, timeout=WAIT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InvalidProblem(f"there is no Dask scheduler at {address}: {' '.join(str(error).split())}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise InvalidProblem(f"the Dask cluster at {address} has no workers") from error
        names = sorted((facts["name"] for facts in client.scheduler_info(n_workers=-1)["workers"].values()), key=str)
        yield [ClusterWorker(client, name, load) for name in names[:workers]]
