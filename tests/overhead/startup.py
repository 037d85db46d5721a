"""The seconds of ``jaccheck example`` in a process that has imported torch and nothing of jaccheck."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from itertools import pairwise
from tempfile import TemporaryDirectory

_TIMED = """
import time
import torch
torch.set_num_threads(1)
times = [time.process_time()]
def passed():
    times.append(time.process_time())
{run}
print(*times)
"""
_COMMAND = """
import jaccheck.cli
passed()
for _ in range(2):
    assert jaccheck.cli.main(["example"]) == 0
    passed()
"""
_CHECK = """
from jaccheck._check import check
from jaccheck._example import network
model, x = network().build()
passed()
for _ in range(2):
    assert check(model, x).ok
    passed()
"""
PARTS = {
    # The first call makes the parser, too, for which recent releases of typer import pydantic.
    _COMMAND: ("example: imports of jaccheck.cli", "example: first call", "example: second call"),
    # The first one imports BackPACK and probes how the device rounds.
    _CHECK: ("its problem: imports", "its three paths and the check: first", "its three paths and the check: second"),
}
"""What is timed in a process of its own, and what the seconds are between."""


def compared(rounds: int) -> dict[str, float]:
    """Median and least of each part over `rounds` processes, the first of which, that compiles files, doesn't count."""
    found = {}
    with TemporaryDirectory() as compiled:
        for run, parts in PARTS.items():
            taken = [_seconds(run, compiled) for _ in range(rounds + 1)][1:]
            for part, seconds in zip(parts, zip(*taken, strict=True), strict=True):
                found[f"{part}, s, median"] = statistics.median(seconds)
                found[f"{part}, s, least"] = min(seconds)
    return found


def _seconds(run: str, compiled: str) -> list[float]:
    """Between the times that `run` takes in a process that keeps bytecode in the folder `compiled`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", _TIMED.format(run=run)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [after - before for before, after in pairwise(map(float, done.stdout.splitlines()[-1].split()))]
