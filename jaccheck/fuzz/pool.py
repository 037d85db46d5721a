"""Workers on this machine: each a process pool of one, for a pool breaks as a whole when one of its processes dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as TimeIsUp  # another one before Python 3.11
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TypeVar

from jaccheck.fuzz import process
from jaccheck.fuzz.crew import Loss
from jaccheck.fuzz.interrupt import deaf_to_ctrl_c
from jaccheck.fuzz.progress import SharedProgress

T = TypeVar("T")
LAST_WORDS = 4000  # characters of what a process has printed


class PoolWorker:
    """A process; `folder` is for its notes, `core` the one it is bound to."""

    def __init__(self, number: int, folder: Path, load: tuple[str, ...], core: int | None) -> None:
        self.watch: Callable[[str], None] = lambda doing: None
        self._file, self._output = folder / f"note-{number}", folder / f"output-{number}"
        self._load, self._core = load, core
        self._progress = SharedProgress(self._file)
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None
        self._killed = ""

    def start(self) -> Future[int]:
        """Start its process, or another one in place of it."""
        self.close()
        self._progress.clear()
        self._killed = ""
        self._pool = ProcessPoolExecutor(1, mp_context=context())
        before = multiprocessing.active_children()
        with without_main():
            begun = self._pool.submit(process.begin, self._file, self._output, self._core, self._load)
        self._process = next((p for p in multiprocessing.active_children() if p not in before), None)
        return begun

    def started(self) -> None:
        pass

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        assert self._pool is not None
        try:
            return self._pool.submit(process.work, work, *arguments)
        except BrokenProcessPool as error:  # it has died with nothing to do
            broken: Future[T] = Future()
            broken.set_exception(error)
            return broken

    def stop(self) -> None:
        self._progress.stop()

    def busy_for(self) -> float:
        """Seconds that it has had the network at hand."""
        return self._progress.read().seconds

    def attend(self) -> None:
        pass

    def kill(self, why: str) -> None:
        """End the process, which is to say where it is."""
        self._killed = why
        if self._process is not None and self._process.pid is not None and self._process.is_alive():
            if hasattr(signal, "SIGUSR1"):
                os.kill(self._process.pid, signal.SIGUSR1)
                time.sleep(0.2)
            self._process.kill()

    def loss(self) -> Loss:
        """What became of a process that has ended, and of its network."""
        kind, how = self._killed, "no end in sight"
        if not kind:
            if self._pool is not None:  # it asks for the exit status, and only who asks first gets it
                ended = Thread(target=self._pool.shutdown, daemon=True)
                ended.start()
                ended.join(1.0)
            kind, how = "crashed", _ending(None if self._process is None else self._process.exitcode)
        try:
            printed = self._output.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:].strip()
        except OSError:
            printed = ""
        return Loss(kind, f"{how}\n{printed}".rstrip(), self._progress.read())

    def close(self) -> None:
        if self._pool is not None:
            if self._process is not None and self._process.is_alive():
                self._process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._process = None


def _ending(code: int | None) -> str:
    if code is None:
        return "the process is gone"
    if code < 0:
        try:
            return f"the process was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"the process was killed by signal {-code}"
    return f"the process left with exit status {code}"


def context() -> Any:
    """Workers are forked from a server that has loaded all they need, and no threads or devices of ours."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["jaccheck.fuzz.preload"])
    with deaf_to_ctrl_c():
        forkserver.ensure_running()
    return forking


@contextmanager
def without_main() -> Iterator[None]:
    """A new process would import the program's script again, of which a worker needs nothing."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


def cores() -> list[int]:
    """Those that this process may run on; numbers that mean something only where they can be chosen."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def hired(workers: int, load: tuple[str, ...]) -> Iterator[list[PoolWorker]]:
    """As many workers, spread over the cores."""
    places: list[int | None] = list(cores()) if hasattr(os, "sched_setaffinity") else [None]
    # a process that is being killed may be writing still
    with TemporaryDirectory(prefix="jaccheck-", ignore_cleanup_errors=True) as folder:
        crew = [PoolWorker(i, Path(folder), load, places[i % len(places)]) for i in range(workers)]
        try:
            yield crew
        finally:
            for worker in crew:
                worker.close()


def outlived(work: Callable[..., T], *arguments: Any, load: tuple[str, ...], seconds: float | None) -> T | Loss:
    """What ``work(*arguments, progress)`` gives in a process of its own, or what became of that in `seconds`."""
    with hired(1, load) as (worker,):
        try:
            worker.start().result()
            return worker.submit(work, *arguments).result(seconds)
        except TimeIsUp:
            worker.kill("hung")
            return worker.loss()
        except BrokenProcessPool:
            return worker.loss()
