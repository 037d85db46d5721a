"""The seconds of ``jaccheck example`` in a process that has imported torch and nothing of jaccheck."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from itertools import pairwise
from tempfile import TemporaryDirectory

_RUN = """
import time
import torch
torch.set_num_threads(1)
times = [time.process_time()]
import jaccheck.cli
times.append(time.process_time())
for _ in range(2):
    assert jaccheck.cli.main(["example"]) == 0
    times.append(time.process_time())
print(*times)
"""
PARTS = ("imports of jaccheck.cli", "first call", "second call")
"""The first call imports BackPACK and what the command needs, makes the parser and probes how the device rounds."""


def compared(rounds: int) -> dict[str, float]:
    """Median and least of each part over `rounds` processes, the first of which, that compiles files, doesn't count."""
    with TemporaryDirectory() as compiled:
        found = [_seconds(compiled) for _ in range(rounds + 1)][1:]
    return {
        f"example, {part}, s, {name}": of(seconds)
        for part, seconds in zip(PARTS, zip(*found, strict=True), strict=True)
        for name, of in (("median", statistics.median), ("least", min))
    }


def _seconds(compiled: str) -> list[float]:
    """Of each part in a process of its own, which keeps bytecode in the folder `compiled`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", _RUN], check=True, capture_output=True, text=True, env=environment)
    times = [float(word) for word in done.stdout.splitlines()[-1].split()]
    return [after - before for before, after in pairwise(times)]
