"""How much memory a call needs at most, and how to run out of it without being killed."""

from __future__ import annotations

import gc
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.autograd.profiler import profile

_RAN_OUT = re.compile(r"^\w*(MemoryError|OutOfMemoryError)\b|can't allocate memory|not enough memory|out of memory")


@dataclass(frozen=True)
class Peak:
    """The most bytes that a call held at a time, beyond those in use before it."""

    torch: int
    """Of torch's allocator on the device."""
    python: int
    """Of Python's (objects, and NumPy's arrays)."""


def peak(call: Callable[[], object], device: torch.device) -> Peak:
    """The high-water marks of one `call`, its result included.

    Torch's is the largest running sum of the allocations and releases that its profiler records on a CPU, each to the
    byte; on CUDA `torch.cuda.max_memory_allocated`, which is reset. Python's is `tracemalloc`'s. What a library takes
    from the system on its own is seen by neither.
    """
    gc.collect()  # what others have left, and what would be released in the middle; see `settled`
    measured = _peak_on_cuda if device.type == "cuda" else _peak_on_cpu
    return measured(call, device)


@contextmanager
def settled() -> Iterator[None]:
    """Collect the garbage once; inside, collections pass over what is there, which takes them 0.1 s otherwise."""
    gc.collect()
    if gc.get_freeze_count():  # somebody's own, which would not be told apart afterwards
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _peak_on_cpu(call: Callable[[], object], device: torch.device) -> Peak:
    with _silent(), profile(use_kineto=False, profile_memory=True) as recorded:
        python = _peak_of_python(call)
    highest = held = 0
    results: Any = recorded.kineto_results
    for event in results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            highest = max(highest, held)
    return Peak(highest, python)


def _peak_on_cuda(call: Callable[[], object], device: torch.device) -> Peak:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    python = _peak_of_python(call)
    torch.cuda.synchronize(device)
    return Peak(torch.cuda.max_memory_allocated(device) - before, python)


def _peak_of_python(call: Callable[[], object]) -> int:
    traced = tracemalloc.is_tracing()
    if traced:
        tracemalloc.reset_peak()
    else:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        highest = tracemalloc.get_traced_memory()[1] - before
        del result  # not before the mark has been read
    finally:
        if not traced:
            tracemalloc.stop()
    return highest


@contextmanager
def _silent() -> Iterator[None]:
    """Kineto, which the profiler loads though it isn't used, writes to stderr unless it is told not to."""
    name = "KINETO_LOG_LEVEL"
    if name in os.environ:
        yield
        return
    os.environ[name] = "99"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def ran_out(said: str) -> bool:
    """Whether an exception, as ``Type: message``, says that there was too little memory."""
    return _RAN_OUT.search(said) is not None


@contextmanager
def bounded(device: torch.device) -> Iterator[None]:
    """Inside, on a CPU under Linux, whoever asks for more memory than there is gets an exception.

    Otherwise Linux grants it, and kills the process when the memory is used.
    """
    free = _available() if device.type == "cpu" else None
    if free is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [_in_use() + free, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _available() -> int | None:
    """Bytes that the machine, and the control group of this process, still have; None where nobody says."""
    try:
        machine = _kilobytes(Path("/proc/meminfo"), "MemAvailable") * 1024
    except (OSError, StopIteration):
        return None
    with suppress(OSError, ValueError):  # no control group, or "max": no limit
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{what}").read_text(encoding="ascii")) for what in ("max", "current"))
        return max(min(machine, limit - used), 0)
    return machine


def _in_use() -> int:
    """What RLIMIT_DATA counts."""
    return _kilobytes(Path("/proc/self/status"), "VmData") * 1024


def _kilobytes(file: Path, name: str) -> int:
    lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
