"""How the time and the memory of a check grow with N C P, the entries of the Jacobian."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch

from jaccheck.bench.memory import peak
from tests.overhead.problems import by_check, fastest, mlp

SIZES = ((8, 256, 128, 10), (16, 256, 128, 10), (32, 256, 128, 10), (64, 256, 128, 10), (128, 256, 128, 10))
SIZES += ((16, 256, 256, 10), (16, 512, 512, 10), (16, 1024, 512, 10), (16, 512, 256, 20), (16, 512, 256, 40))


def compared(rounds: int) -> dict[str, object]:
    """The slopes of log seconds and log bytes over log N C P, by least squares; linear growth is a slope of 1."""
    rows = []
    for batch, *widths in SIZES:
        problem = mlp(batch, *widths)
        entries = batch * widths[-1] * sum(p.numel() for p in problem[0].parameters())
        most = peak(lambda problem=problem: by_check(*problem), torch.device("cpu"))
        rows.append((entries, fastest([by_check], problem, rounds)[0], most.torch))
    entries, seconds, held = zip(*rows, strict=True)
    return {
        "entries": entries,
        "seconds": seconds,
        "peak bytes": held,
        "slope of time": _slope(entries, seconds),
        "slope of memory": _slope(entries, held),
    }


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    return statistics.linear_regression([math.log(t) for t in x], [math.log(t) for t in y]).slope
