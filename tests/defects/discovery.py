"""Which known defects fuzzing finds from scratch, on which network and after how long.

    python -m tests.defects.discovery --seed 1 --networks 3000

goes through the networks of ``jaccheck fuzz --path all --property enclosure --no-known --keep-going --seed 1`` in their
order, and prints as a Markdown table, for each entry of the register, the number of the first network that shows it,
how many do, and the processor's seconds until then, all of them for judging networks by all paths. What nothing of the
register explains is printed as JSON below: exit status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

import torch

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck._values import DTYPES
from jaccheck.defects.known import known
from jaccheck.defects.register import register
from jaccheck.fuzz.drawing import drawn
from jaccheck.fuzz.finding import examined
from jaccheck.fuzz.plan import Plan
from jaccheck.paths import paths


class Discoveries:
    """What has been found so far."""

    def __init__(self) -> None:
        self.networks = 0
        self.seconds = 0.0
        self.first: dict[str, tuple[int, float]] = {}  # by defect, the network's number and the seconds until then
        self.counts: Counter[str] = Counter()
        self.unexplained: list[tuple[str, Network]] = []

    def look(self, network: Network) -> None:
        self.networks += 1
        start = time.process_time()
        try:
            _, found = examined(network, paths(), ("enclosure",))
        except InvalidProblem:
            found = {}
        self.seconds += time.process_time() - start
        seen: set[str] = set()
        for failure in found:
            defects = known(failure, *network.build(), seed=network.seed)
            seen |= {defect.id for defect in defects}
            if not defects:
                self.unexplained.append((str(failure), network))
        self.counts.update(seen)
        for name in seen:
            self.first.setdefault(name, (self.networks, self.seconds))

    def table(self) -> str:
        lines = ["| defect | first network | seconds until then | networks that show it |", "| --- | --- | --- | --- |"]
        for name in [defect.id for defect in register()]:
            number, seconds = self.first.get(name, (None, None))
            cells = ("none", "") if number is None or seconds is None else (str(number), f"{seconds:.1f}")
            lines.append(f"| `{name}` | {' | '.join(cells)} | {self.counts[name]} |")
        return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", type=int, default=3000)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    plan = Plan(options.seed, paths(), ("enclosure",), DTYPES, ("cpu",), examples=options.networks)
    found = Discoveries()
    try:
        for index in range(options.networks):
            for network in drawn(plan, plan.slice_of(index)):
                found.look(network)
            if found.networks % 50 == 0:
                said = f"{found.networks} networks, {len(found.first)} defects, {len(found.unexplained)} unexplained"
                print(said, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    print(f"{found.networks} networks of seed {options.seed}, {found.seconds:.0f} s of the processor's time\n")
    print(found.table())
    for failure, network in found.unexplained:
        print(f"\n{failure}\n{network.to_json()}")
    return 1 if found.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
