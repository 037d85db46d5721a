"""The networks that fuzz gets through by `LAWS`, beside a loop over the three paths that checks nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress

import jaccheck
from jaccheck._network import Network
from jaccheck._values import DTYPES
from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.drawing import tried
from jaccheck.fuzz.plan import Plan
from jaccheck.paths import DEFAULT, get
from jaccheck.strategies.drawing import visited
from tests.overhead.ratios import ADMITTED, BARE

LAWS = ("enclosure", "state")
"""Those of a check; by its other properties fuzz takes longer."""
FUZZ = f"fuzz by {' and '.join(LAWS)}"


def compared(count: int, rounds: int) -> dict[str, float]:
    """Networks per second of fuzz in units of the loop's, `count` of them in each of `rounds`, median over the rounds.

    Fuzz and the loops take turns, with another seed in each round.
    """
    runs = {ADMITTED: _loop(_by_jacobian), BARE: _loop(_by_path), FUZZ: _fuzz}
    for run in runs.values():
        run(0, 20)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for seed in range(1, rounds + 1):
        for name, run in runs.items():
            start = time.thread_time()
            run(seed, count)
            taken[name].append((time.thread_time() - start) / count)
    fuzz = taken.pop(FUZZ)
    found = {f"{FUZZ}, ms a network": 1e3 * statistics.median(fuzz)}
    for name, loop in taken.items():
        ratios = [bare / checked for bare, checked in zip(loop, fuzz, strict=True)]
        found[f"{FUZZ} / a loop by {name}, networks per second"] = statistics.median(ratios)
    return found


def _fuzz(seed: int, count: int) -> None:
    plan = Plan(seed, DEFAULT, LAWS, DTYPES, ("cpu",), examples=count, keep_going=True)
    Campaign(plan).run()


def _loop(call: Callable[[Network], None]) -> Callable[[int, int], None]:
    return lambda seed, count: visited(tried(DTYPES, ("cpu",)), call, count=count, seed=seed)


def _by_jacobian(network: Network) -> None:
    model, x = network.build()
    for name in DEFAULT:
        with suppress(Exception):  # it refuses, or crashes, as it does under fuzz
            jaccheck.jacobian(model, x, name, seed=network.seed)


def _by_path(network: Network) -> None:
    model, x = network.build()
    for name in DEFAULT:
        with suppress(Exception):
            get(name).jacobian(model, x)
