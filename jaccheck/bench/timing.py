"""Clocks, turns and intervals: how long several calls take beside one another."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

K = TypeVar("K")

Clock = Callable[[Callable[[], object]], float]
"""Seconds of one call."""

CONFIDENCE = 0.95
FEWEST = 6
"""Rounds: fewer values have no 95 % sign-test interval, since 2 / 2^5 > 0.05."""
WARM, WARM_SECONDS = 3, 0.005
"""Calls before a timed one, as many as begin within so many seconds but 1 at least: the first after another path runs
on its caches, by a quarter slower for one of 0.8 ms; after three of them it isn't."""


@dataclass(frozen=True)
class Interval:
    """A median and its sign-test interval, which supposes nothing of the noise but that values are independent."""

    median: float
    low: float
    high: float
    confidence: float = CONFIDENCE
    """With which probability, at least, the interval holds the median of what is behind the values."""


def interval(values: Sequence[float]) -> Interval:
    """The median of `values` between two of their order statistics.

    These are the innermost pair, as far from the ends as each other, between which the median of what is behind the
    values lies with a probability of at least 0.95; of fewer than 6 values the outermost, with 1 - 2 / 2^n.
    Sources: David and Nagaraja, Order Statistics (2003), 7.1.
    """
    ordered, n = sorted(values), len(values)
    if n < FEWEST:
        return Interval(statistics.median(ordered), ordered[0], ordered[-1], 1 - 2 / 2**n)
    k, tail, term = 0, 0, 1  # tail: the sum of C(n, i) over i < k; term: C(n, k)
    while 40 * (tail + term) <= 2**n:
        k, tail, term = k + 1, tail + term, term * (n - k) // (k + 1)
    return Interval(statistics.median(ordered), ordered[k - 1], ordered[n - k])


def clock(device: torch.device) -> tuple[str, Clock]:
    """The name of the clock for `device`, and the clock.

    On a CPU the time that this thread has the processor: while other processes run, the ratio of two wall-clock times
    is wrong, because a short call fits between two interruptions and a long one doesn't. On CUDA the time between two
    events in the stream.
    """
    if device.type == "cuda":
        return "CUDA events", lambda call: _cuda_seconds(call, device)
    return "thread CPU time", _thread_seconds


def _thread_seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    result = call()
    seconds = time.thread_time() - start
    del result  # not before the time has been taken
    return seconds


def _cuda_seconds(call: Callable[[], object], device: torch.device) -> float:
    with torch.cuda.device(device):
        event: Any = torch.cuda.Event  # which torch leaves untyped
        start, end = event(enable_timing=True), event(enable_timing=True)
        torch.cuda.synchronize(device)
        start.record()
        result = call()
        end.record()
        torch.cuda.synchronize(device)
        del result
        return float(start.elapsed_time(end)) / 1000


class Runner(Protocol):
    """What takes part in the rounds."""

    def turn(self) -> float:
        """Warm up, and then give the seconds of one call."""


class Caller:
    """Calls `call` and, after each turn and outside of the time taken, `restore`."""

    def __init__(self, call: Callable[[], object], restore: Callable[[], None], clock: Clock) -> None:
        self._call, self._restore, self._clock = call, restore, clock
        self._fastest = math.inf
        self.inside = 0.0
        """Seconds of all calls so far."""

    def turn(self) -> float:
        try:
            for _ in range(min(WARM, math.ceil(WARM_SECONDS / self._fastest)) or 1):
                self._seconds()
            return self._seconds()
        finally:
            self._restore()

    def _seconds(self) -> float:
        seconds = self._clock(self._call)
        self.inside += seconds
        self._fastest = min(self._fastest, max(seconds, 1e-9))  # a coarse clock may say 0
        return seconds


class Writer:
    """Writes `size` bytes once, into memory that is there: no path that makes a result of this size can be faster."""

    def __init__(self, size: int, device: torch.device, clock: Clock) -> None:
        self._size, self._device, self._clock = size, device, clock

    def turn(self) -> float:
        memory = torch.empty(self._size, dtype=torch.uint8, device=self._device)
        memory.fill_(1)
        return self._clock(lambda: memory.fill_(2))


def rounds(
    runners: Mapping[K, Runner], seconds: float, least: int = FEWEST
) -> tuple[dict[K, list[float]], dict[K, Exception]]:
    """Let the runners take turns, each round in another order, for about `seconds` but `least` rounds in any case.

    Returns:
        For each runner its seconds, round by round, so that those at one place were taken beside one another; and what
        the others raised, which then left.
    """
    taken: dict[K, list[float]] = {name: [] for name in runners}
    raised: dict[K, Exception] = {}
    order, shuffle = list(runners), random.Random(0).shuffle
    end = time.monotonic() + seconds
    done = 0
    while order and (done < least or time.monotonic() < end):
        shuffle(order)
        for name in tuple(order):
            try:
                taken[name].append(runners[name].turn())
            except Exception as error:  # whatever it is, it is this runner's, and the others stand
                raised[name] = error
                order.remove(name)
                del taken[name]
        done += 1
    return taken, raised
