"""Measure the ladder with and without workers: are the ratios the same, is it faster, what does measuring itself cost?

    python -m tests.bench.bars                  # long, some minutes, for a quiet machine
    python -m tests.bench.bars --short -k example

prints as JSON how far the ratios under ``-n 2`` are from those under ``-n 0``; the wall time of both; and the share of
the processor's time that was spent outside the paths: of measuring (weighing, putting things back), and of everything
(pytest, starting Python and torch as well).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jaccheck._check import versions

BAR = 0.05


def run(workers: int, long: bool, more: list[str]) -> dict[str, Any]:
    """One run of the ladder: its rows, wall time and the processor's time in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ladder.json"
        command = [sys.executable, "-m", "pytest", "-q", "tests/bench/test_ladder.py", f"-n{workers}"]
        command += [
            "-p",
            "no:cacheprovider",
            f"--benchmark-json={file}",
            *(["--benchmark-only"] if long else []),
            *more,
        ]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=sys.stderr)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        rows = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    infos = {row["name"]: row["extra_info"]["paired"] for row in rows}
    tests = {name.rpartition("/")[0]: info for name, info in infos.items()}
    inside, spent = (sum(info[what] for info in tests.values()) for what in ("inside", "spent"))
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "ratios": {name: info["cost"]["ratio"]["median"] for name, info in infos.items()},
        "wall": wall,
        "outside the paths, of measuring": 1 - inside / spent,
        "outside the paths, of everything": 1 - inside / processor,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="as along with the tests")
    options, more = parser.parse_known_args()
    alone, two = (run(workers, not options.short, more) for workers in (0, 2))
    off = {name: two["ratios"][name] / ratio - 1 for name, ratio in alone["ratios"].items() if ratio != 1}
    far = {name: round(value, 4) for name, value in off.items() if abs(value) > BAR}
    found = {
        "versions": dict(versions()),
        "ratios": len(off),
        "median |-n 2 / -n 0 - 1|": statistics.median(map(abs, off.values())),
        "largest": max(map(abs, off.values())),
        f"over {BAR:.0%}": far,
        "wall, -n 0 / -n 2": alone["wall"] / two["wall"],
        **{f"-n 0: {what}": value for what, value in alone.items() if what != "ratios"},
        **{f"-n 2: {what}": value for what, value in two.items() if what != "ratios"},
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
