"""What a worker does in one go: check some networks of a round, or the network of an earlier finding."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jaccheck._finding import Failure, Finding, Listed, recognized
from jaccheck._network import Network
from jaccheck.defects.known import Told, told
from jaccheck.fuzz.checking import Row, checked, found_on
from jaccheck.fuzz.drawing import drawn
from jaccheck.fuzz.plan import Plan, Slice
from jaccheck.fuzz.progress import Progress


@dataclass
class Batch:
    """What came of it."""

    rows: list[Row] = field(default_factory=list)
    found: dict[Failure, Finding] = field(default_factory=dict)
    """New failures, all on the last network."""
    done: int = 0
    """The place in the round up to which they are done."""
    exhausted: bool = False
    """There is nothing behind that place: the round drew fewer than was asked for."""
    interrupted: bool = False


def explore(
    plan: Plan, part: Slice, listed: Listed, spent: Mapping[str, float], seconds: float, progress: Progress
) -> Batch:
    """Check `part` of a round for at most `seconds`, or to the first failure that isn't `listed`."""
    batch = Batch(done=part.first)
    shares: dict[str, float] = defaultdict(float, spent)
    try:
        networks = drawn(plan, part)
        end = time.monotonic() + seconds
        for place, network in enumerate(networks, part.first):
            if progress.stopped() or time.monotonic() >= end or batch.found:
                break
            row, found = _checked(plan, part.index(place), network, shares, listed, progress)
            batch.rows.append(row)
            batch.done += 1
            batch.found = {failure: finding for failure, finding in found.items() if failure not in listed}
            for asked in row.asked:
                shares[asked.name] += asked.seconds
        batch.exhausted = batch.done == part.first + len(networks) < part.last
    except KeyboardInterrupt:
        batch.interrupted = True
    return batch


def replay(plan: Plan, finding: Finding, progress: Progress) -> dict[Failure, Finding]:
    """What is wrong on the network of an earlier finding, asked what it was found by."""
    progress.take(finding.network, -1, "replaying")
    found = found_on(plan, finding.network, *plan.question(finding.failure))
    progress.free()
    return found


def alone(plan: Plan, network: Network, path: str, progress: Progress) -> dict[Failure, Finding]:
    """Check `network` by one path, to see whether the process outlives it."""
    progress.take(network, -1, "replaying")
    found = found_on(plan, network, (path,), plan.properties)
    progress.free()
    return found


def checked_once(
    network: Network, paths: tuple[str, ...], properties: tuple[str, ...], images: bool, progress: Progress
) -> Told:
    """The report on `network`, and what of it is known."""
    progress.take(network, -1, "replaying")
    found = told(*network.build(), paths=paths, properties=properties, seed=network.seed, images=images)
    progress.free()
    return found


def _checked(
    plan: Plan, index: int, network: Network, spent: Mapping[str, float], listed: Listed, progress: Progress
) -> tuple[Row, dict[Failure, Finding]]:
    progress.take(network, index, "checking")
    row, found = checked(plan, index, network, spent)
    found = recognized(found, listed)
    progress.free()
    return replace(row, failures=tuple(found)), found
