"""Measure what a check costs beside its three paths: time, on random networks and a large model, and peak memory.

    python -m tests.overhead --networks 300 --seed 0
    python -m tests.overhead --large

prints as JSON the ratio of the time of `jaccheck.check` to that of three calls of `jaccheck.jacobian`, and to that of
the three paths without admission or restoring, in turn on each problem of one run; for the large model (N=16,
784-512-256-10, a Jacobian of 343 MB) also the peak memory of the check and of each path, each in its own process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

import jaccheck
from jaccheck._check import versions
from jaccheck.paths import DEFAULT, get
from tests.false_alarms import drawn

Problem = tuple[nn.Module, Tensor]
Run = Callable[[nn.Module, Tensor], None]


def large() -> Problem:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return model, torch.randn(16, 784)


def by_jacobian(model: nn.Module, x: Tensor) -> None:
    for name in DEFAULT:
        with suppress(Exception):  # it refuses, or crashes; the check calls it, too
            jaccheck.jacobian(model, x, name)


def by_path(model: nn.Module, x: Tensor) -> None:
    for name in DEFAULT:
        with suppress(Exception):
            get(name).jacobian(model, x)


def by_check(model: nn.Module, x: Tensor) -> None:
    jaccheck.check(model, x)


def seconds(run: Run, problem: Problem) -> float:
    start = time.perf_counter()
    run(*problem)
    return time.perf_counter() - start


def compared(problems: list[Problem], rounds: int) -> dict[str, float]:
    """Ratios of the check to the paths: of the sums over all problems, and the median over the problems."""
    runs = (by_jacobian, by_path, by_check)
    best = [[min(times) for times in zip(*rows, strict=True)] for rows in _timed(problems, runs, rounds)]
    found = {}
    for column, against in ((0, "jaccheck.jacobian"), (1, "path.jacobian")):
        found[f"check / {against}, of the sums"] = sum(row[2] for row in best) / sum(row[column] for row in best)
        found[f"check / {against}, median"] = statistics.median(row[2] / row[column] for row in best)
    return found


def _timed(problems: list[Problem], runs: tuple[Run, ...], rounds: int) -> Iterator[list[list[float]]]:
    for problem in problems:
        try:
            by_check(*problem)  # a first call is cold
        except Exception as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        yield [[seconds(run, problem) for run in runs] for _ in range(rounds)]


def peak(what: str) -> float:
    """MB that a process needs for a path, or the check, above what it needs for the problem itself."""
    command = [sys.executable, "-m", "tests.overhead", "--peak", what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak_here(what: str) -> float:
    model, x = large()
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--rounds", type=int, default=3, help="of each problem, of which the fastest counts")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--peak", choices=[*DEFAULT, "check"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(_peak_here(options.peak))
        return
    problems = [large()] if options.large else [n.build() for n in drawn(options.seed, options.networks)]
    found: dict[str, object] = {"versions": dict(versions()), "problems": len(problems)}
    found |= compared(problems, options.rounds)
    if options.large:
        peaks = {what: peak(what) for what in (*DEFAULT, "check")}
        found["peak MB"] = peaks
        found["check / hungriest path"] = peaks["check"] / max(peaks[name] for name in DEFAULT)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
