"""Measure what jaccheck costs beside what it judges: time and memory, each as a ratio within one run.

    python -m tests.overhead                       all of it
    python -m tests.overhead small --networks 200  check against its three paths, admitted and alone, on random networks
    python -m tests.overhead large wide            the same on N=16, 784-512-256-10 (a Jacobian of 343 MB) and on N=64,
                                                   256-256-10 (175 MB), and the peak memory of each in its own process
    python -m tests.overhead growth                slopes of a check's time and memory over N C P
    python -m tests.overhead gradcheck             the enclosure against torch.autograd.gradcheck, on the example
    python -m tests.overhead fuzz                  networks per second of fuzz by enclosure and state, against a loop
                                                   that checks nothing
    python -m tests.overhead drawing               the median time that a network takes to draw, of each strategy
    python -m tests.overhead turns                 the time that each property takes of random networks, by autograd
    python -m tests.overhead example               the command `jaccheck example` once torch is imported: the imports,
                                                   the first call and the second

prints JSON. Seconds are of CPU time of one thread, the least of several rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch

from jaccheck._check import versions
from jaccheck.strategies import networks
from tests.false_alarms import drawn
from tests.overhead import drawing, gradcheck, growth, memory, ratios, startup, throughput, turns
from tests.overhead.problems import PROBLEMS


def _one(name: str, rounds: int) -> dict[str, object]:
    return {**ratios.compared([PROBLEMS[name]()], rounds), **memory.compared(name)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tests.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="WHAT")
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--rounds", type=int, default=5, help="of each problem, of which the fastest counts")
    options = parser.parse_args()
    measured: dict[str, Callable[[], object]] = {
        "small": lambda: ratios.compared(
            [network.build() for network in drawn(options.seed, options.networks, networks())], options.rounds
        ),
        "large": lambda: _one("large", options.rounds),
        "wide": lambda: _one("wide", options.rounds),
        "growth": lambda: growth.compared(options.rounds),
        "gradcheck": lambda: gradcheck.compared(10 * options.rounds),
        "fuzz": lambda: throughput.compared(options.networks, options.rounds),
        "drawing": lambda: drawing.compared(options.networks),
        "turns": lambda: turns.compared(options.networks),
        "example": lambda: startup.compared(2 * options.rounds),
    }
    chosen = options.what or list(measured)
    for what in chosen:
        if what not in measured:
            parser.error(f"{what!r} is none of {', '.join(measured)}")
    torch.set_num_threads(1)
    found: dict[str, object] = {"versions": dict(versions())}
    found |= {what: measured[what]() for what in chosen}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
