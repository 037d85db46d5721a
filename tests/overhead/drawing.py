"""What Hypothesis takes to draw a network."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from jaccheck import Network
from jaccheck._values import DTYPES
from jaccheck.fuzz.drawing import tried
from jaccheck.strategies import EVERYTHING, exact_networks, in_a_row, networks


def compared(count: int) -> dict[str, float]:
    """Of each strategy the median time from one of `count` networks to the next, all that Hypothesis does included."""
    strategies = {
        "networks()": networks(),
        "networks(**EVERYTHING)": networks(**EVERYTHING),
        "exact_networks()": exact_networks(),
        "in_a_row()": in_a_row(),
        "of fuzz": tried(DTYPES),
    }
    return {name: _median(strategy, count) for name, strategy in strategies.items()}


def _median(strategy: SearchStrategy[Network], count: int) -> float:
    times: list[float] = []

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def note(network: Network) -> None:
        times.append(time.thread_time())

    note()
    return median(end - start for start, end in pairwise(times))
