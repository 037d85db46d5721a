"""What runs in the process of a worker."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

import jaccheck.fuzz.chasing
import jaccheck.fuzz.exploring
import jaccheck.properties  # noqa: F401, all that a worker needs is loaded before it is forked
from jaccheck._target import module_of
from jaccheck.fuzz.kernels import keep_few
from jaccheck.fuzz.progress import SharedProgress

T = TypeVar("T")
MOST_OUTPUT = 1 << 20  # bytes of what it prints that are kept

_progress: SharedProgress | None = None


def begin(shared: Path, output: Path, core: int | None, load: tuple[str, ...]) -> int:
    """Be a worker: one torch thread on one core, deaf to Ctrl-C, gone as soon as the controller is gone.

    Returns:
        The process's number.
    """
    global _progress
    serve()
    _print_into(output)
    keep_few()
    if core is not None:
        os.sched_setaffinity(0, {core})
    for module in load:
        module_of(module)
    _progress = SharedProgress(shared)
    gc.freeze()  # what has been imported stays: collections needn't look through it each time
    return os.getpid()


def work(function: Callable[..., T], *arguments: Any) -> T:
    """``function(*arguments, progress)``"""
    assert _progress is not None
    if os.fstat(2).st_size > MOST_OUTPUT:
        os.ftruncate(2, 0)
    return function(*arguments, _progress)


def serve() -> None:
    """One torch thread, deaf to Ctrl-C, gone as soon as the process is that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _end_with_the_controller()


def _end_with_the_controller() -> None:
    """From now on this process is gone as soon as the one that started it is."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _print_into(output: Path) -> None:
    """What is printed, and Python's last words at a crash: to show them if it comes to that."""
    sys.stdout.flush()
    sys.stderr.flush()
    opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    os.close(opened)
    faulthandler.enable(all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, all_threads=False)
