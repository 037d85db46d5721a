"""Several calls on one problem, weighed and then timed beside one another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from jaccheck.bench.memory import Peak, peak, ran_out, settled
from jaccheck.bench.timing import Caller, Runner, Writer, clock, rounds

_LIMIT = None
"""In the place of a call's name: the writing of the result."""


@dataclass(frozen=True)
class Measured:
    """What was seen of those calls that came through, and what the others raised."""

    seconds: Mapping[str, list[float]]
    """Round by round, so that those at one place were taken beside one another."""
    peaks: Mapping[str, Peak]
    raised: Mapping[str, Exception]
    write: list[float]
    """Seconds of writing the result's bytes once; none where even that was too much."""
    clock: str
    inside: float
    """Seconds inside the calls that were timed and those that warmed up for them."""
    spent: float
    """Seconds altogether, by the same kind of clock: what is not `inside` is overhead."""


def measured(
    calls: Mapping[str, Callable[[], object]],
    *,
    size: int,
    device: torch.device,
    restore: Callable[[], None],
    seconds: float,
    least: int,
) -> Measured:
    """Call each, weigh it in a second call, and then time all in turn, see `rounds`, for about `seconds`.

    Args:
        size: bytes of the result, which no call can do without writing.
        restore: puts back whatever a call has changed.
        least: rounds that are run in any case; 0: each call is called once, and neither weighed nor timed.
    """
    name, watch = clock(device)
    now = time.perf_counter if device.type == "cuda" else time.thread_time
    start = now()
    peaks: dict[str, Peak] = {}
    failed: dict[str, Exception] = {}
    with settled():
        for key, call in calls.items():
            try:
                call()  # what is loaded once is nothing that it needs
                if least:
                    peaks[key] = peak(call, device)
            except Exception as error:  # whatever it is, it is this call's, and the others stand
                failed[key] = error
            finally:
                restore()
        callers = {key: Caller(call, restore, watch) for key, call in calls.items() if key not in failed and least}
        runners: dict[str | None, Runner] = dict(callers.items())
        if callers:
            runners[_LIMIT] = Writer(size, device, watch)
        taken, raised = rounds(runners, seconds, least)
    limit = raised.pop(_LIMIT, None)
    if limit is not None and not ran_out(f"{type(limit).__name__}: {limit}"):
        raise limit
    return Measured(
        seconds={key: values for key, values in taken.items() if key is not None},
        peaks=peaks,
        raised=failed | {key: error for key, error in raised.items() if key is not None},
        write=taken.get(_LIMIT, []),
        clock=name,
        inside=sum(caller.inside for caller in callers.values()),
        spent=now() - start,
    )
