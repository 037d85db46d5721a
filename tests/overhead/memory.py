"""What a check and each path needs of memory at most, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

import jaccheck
from jaccheck.paths import DEFAULT, get
from tests.overhead.problems import PROBLEMS, by_check


def compared(problem: str) -> dict[str, object]:
    """MB of each and the ratio of the check's to the hungriest path's."""
    peaks = {what: _peak(problem, what) for what in (*DEFAULT, "check")}
    return {"peak MB": peaks, "check / hungriest path": peaks["check"] / max(peaks[name] for name in DEFAULT)}


def _peak(problem: str, what: str) -> float:
    """MB that a process needs for a path, or the check, above what it needs for the problem itself."""
    command = [sys.executable, "-m", "tests.overhead.memory", problem, what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak_here(problem: str, what: str) -> float:
    torch.set_num_threads(1)
    model, x = PROBLEMS[problem]()
    get("batch_grad")  # imports BackPACK
    jaccheck.check(nn.Linear(2, 2), torch.ones(1, 2))
    before = _high_water_mark()
    if what == "check":
        by_check(model, x)
    else:
        get(what).jacobian(model, x)
    return _high_water_mark() - before


def _high_water_mark() -> float:
    """MB of this process, on Linux; `resource` would count what its parent had at the fork."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    print(_peak_here(*sys.argv[1:]))
