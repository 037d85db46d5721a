"""Measure how fast a campaign is: with several workers beside one, beside a bare loop, and whether it stays so.

    python -m tests.throughput --networks 1000 --workers 2 --repeat 3
    python -m tests.throughput --long 50000

The first prints as JSON the networks per second of one worker (in the calling process), of several, and of Hypothesis
with three calls of a path for each network and no check, in turn in one run, and their ratios: the starting of
processes is left out. The second runs one worker over so many networks in rounds alike, and prints for each tenth the
processor's time per network and the memory (RSS) at its end, with the ratio and the difference of the last to the
first. Both on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import torch

from jaccheck._check import versions
from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.drawing import run
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.pool import hired
from jaccheck.fuzz.summary import Summary
from jaccheck.paths import DEFAULT, get
from jaccheck.properties import DEFAULT as ALWAYS
from jaccheck.properties import PROPERTIES


def plan(seed: int, networks: int, properties: tuple[str, ...]) -> Plan:
    return Plan(seed, DEFAULT, properties, ("float64", "float32"), ("cpu",), examples=networks, keep_going=True)


def campaign(what: Plan, workers: int) -> float:
    """Networks per second."""
    if workers == 1:
        summary = Campaign(what).run()
    else:
        with hired(workers, ()) as crew:
            summary = Campaign(what, crew).run()
    return summary.networks / summary.seconds


def bare(what: Plan) -> float:
    """Networks per second of Hypothesis and the three paths."""
    start = time.perf_counter()
    done = 0

    def visit(network: object) -> None:
        nonlocal done
        done += 1
        model, x = network.build()  # type: ignore[attr-defined]
        for path in what.paths:
            with suppress(Exception):
                get(path).jacobian(model, x)

    for number in count():
        if not (size := what.round_size(number)):
            break
        run(what, number, size, visit)
    return done / (time.perf_counter() - start)


def side_by_side(networks: int, workers: int, repeat: int, properties: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, list[float]] = {"one": [], "several": [], "bare": []}
    for seed in range(repeat):
        what = plan(seed, networks, properties)
        found["one"].append(campaign(what, 1))
        found["several"].append(campaign(what, workers))
        found["bare"].append(bare(what))
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    return {
        "networks per second": medians,
        "several / one": medians["several"] / medians["one"],
        "one / bare": medians["one"] / medians["bare"],
    }


def rss() -> float:
    """Megabytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def long(networks: int, properties: tuple[str, ...]) -> dict[str, object]:
    tenths: list[dict[str, float]] = []
    last = [0, time.process_time()]

    def watch(summary: Summary) -> None:
        if summary.networks >= (len(tenths) + 1) * networks // 10:
            now = time.process_time()
            spent = (now - last[1]) / (summary.networks - last[0]) * 1e3
            tenths.append({"networks": summary.networks, "ms per network": spent, "MB": rss()})
            last[:] = [summary.networks, now]
            print(json.dumps(tenths[-1]), flush=True)

    Campaign(plan(0, networks, properties), watch=watch).run()
    first, end = tenths[0], tenths[-1]
    return {
        "speed, last / first tenth": first["ms per network"] / end["ms per network"],
        "MB more": end["MB"] - first["MB"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--long", type=int, metavar="NETWORKS")
    parser.add_argument("--all", action="store_true", help="all properties, not only those of check")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    properties = tuple(PROPERTIES) if arguments.all else ALWAYS
    if arguments.long:
        result = long(arguments.long, properties)
    else:
        result = side_by_side(arguments.networks, arguments.workers, arguments.repeat, properties)
    print(json.dumps({**result, "properties": properties, "versions": dict(versions())}, indent=2))


if __name__ == "__main__":
    main()
