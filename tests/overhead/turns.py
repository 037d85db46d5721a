"""What each property takes of the networks of fuzz for which it is its turn."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress

from jaccheck import InvalidProblem
from jaccheck._values import DTYPES
from jaccheck.defects.known import looked_up
from jaccheck.fuzz.drawing import tried
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.turns import turn
from jaccheck.properties import PROPERTIES
from jaccheck.strategies.drawing import collected

PATHS = ("autograd",)


def compared(count: int) -> dict[str, dict[str, float]]:
    """Of `count` networks: how many turns each property has, the mean time of one, and its share of all the time."""
    plan = Plan(0, PATHS, tuple(PROPERTIES), DTYPES, ("cpu",), examples=count)
    taken: dict[str, list[float]] = defaultdict(list)
    for index, network in enumerate(collected(tried(DTYPES), count=count, seed="turns")):
        for laws in turn(plan, index, network, {}):
            start = time.thread_time()
            with suppress(InvalidProblem):
                looked_up(network, PATHS, laws, words=False)
            taken[", ".join(laws)].append(time.thread_time() - start)
    whole = sum(map(sum, taken.values()))
    return {
        law: {"turns": len(times), "seconds": sum(times) / len(times), "share": sum(times) / whole}
        for law, times in taken.items()
    }
