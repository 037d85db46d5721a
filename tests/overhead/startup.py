"""The seconds of ``jaccheck example`` in a process that has imported torch and nothing of jaccheck."""

from __future__ import annotations

import statistics
import subprocess
import sys

_RUN = """
import time
import torch
torch.set_num_threads(1)
start = time.process_time()
import jaccheck.cli
status = jaccheck.cli.main(["example"])
print(time.process_time() - start)
assert status == 0
"""


def compared(rounds: int) -> dict[str, float]:
    """Median and least over `rounds` processes, the first of which, that may compile files, doesn't count."""
    found = []
    for _ in range(rounds + 1):
        shown = subprocess.run([sys.executable, "-c", _RUN], check=True, capture_output=True, text=True).stdout
        found.append(float(shown.splitlines()[-1]))
    return {"example, s, median": statistics.median(found[1:]), "example, s, least": min(found[1:])}
