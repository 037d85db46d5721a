"""What came of looking for many faults, as text and as data."""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from difflib import get_close_matches
from multiprocessing import active_children
from statistics import median
from typing import Any

from jaccheck._check import versions
from jaccheck._errors import InvalidProblem
from jaccheck._text import several
from jaccheck.fuzz.pool import context, without_main
from jaccheck.fuzz.process import serve
from jaccheck.properties import PROPERTIES
from jaccheck.selftest.fault import Fault
from jaccheck.selftest.faults import bank, families
from jaccheck.selftest.hunt import Hunt, hunt

FOR_EQUIVALENT = 3.0
"""Seconds of the processor for a fault that can't be seen: it has to stay unseen for that long."""


@dataclass
class Score:
    """The hunts of one run."""

    seed: int
    budget: float
    hunts: list[Hunt] = field(default_factory=list)
    properties: tuple[str, ...] = tuple(PROPERTIES)
    """Those that were asked."""
    interrupted: bool = False
    """The other faults haven't been looked for."""

    @property
    def counted(self) -> list[Hunt]:
        """Those for faults that can be seen."""
        return [hunt for hunt in self.hunts if hunt.fault.equivalent is None]

    @property
    def killed(self) -> list[Hunt]:
        return [hunt for hunt in self.counted if hunt.killed]

    @property
    def survivors(self) -> list[Hunt]:
        return [hunt for hunt in self.counted if not hunt.killed]

    @property
    def strange(self) -> list[Hunt]:
        """Where others were accused as well, something was seen that can't be, or jaccheck itself raised."""
        return [hunt for hunt in self.hunts if not hunt.ok and (hunt.crash or hunt not in self.survivors)]

    @property
    def ok(self) -> bool:
        return all(hunt.ok for hunt in self.hunts)

    def by_property(self) -> Mapping[str, tuple[int, int, int]]:
        """For each: the faults it found first, those it sees by itself on that network, those that no other does."""
        first = Counter(hunt.law for hunt in self.killed if hunt.law is not None)
        sees = Counter(law for hunt in self.killed for law in hunt.by)
        alone = Counter(hunt.by[0] for hunt in self.killed if len(hunt.by) == 1)
        return {
            law: (first[law], sees[law], alone[law])
            for law in (*self.properties, *sorted(first.keys() - self.properties))
        }

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seed": self.seed,
            "interrupted": self.interrupted,
            "budget": self.budget,
            "faults": len(self.counted),
            "killed": len(self.killed),
            "equivalent": len(self.hunts) - len(self.counted),
            "networks": _middle([hunt.networks for hunt in self.killed]),
            "seconds": _middle([hunt.seconds for hunt in self.killed]),
            "longest": max((hunt.seconds for hunt in self.killed), default=0.0),
            "properties": {
                law: dict(zip(("first", "sees", "alone"), counts, strict=True))
                for law, counts in self.by_property().items()
            },
            "hunts": [_row(hunt) for hunt in self.hunts],
            "survivors": [hunt.fault.name for hunt in self.survivors],
            "strange": [hunt.fault.name for hunt in self.strange],
            "versions": dict(versions()),
        }

    def __str__(self) -> str:
        counted, killed = self.counted, self.killed
        lines = [f"{len(killed)} of {len(counted)} faults found, {100 * len(killed) / max(len(counted), 1):.1f} %"]
        if killed:
            networks, seconds = _middle([one.networks for one in killed]), _middle([one.seconds for one in killed])
            longest = max(killed, key=lambda one: one.seconds)
            lines.append(f"median {networks:g} networks and {seconds:.2f} s of the processor")
            lines.append(f"longest {longest.seconds:.1f} s, {longest.fault.name}")
        lines.append(f"{'property':14}{'found first':>12}{'sees':>8}{'no other':>10}")
        lines += [f"{law:14}{first:12}{sees:8}{alone:10}" for law, (first, sees, alone) in self.by_property().items()]
        if len(self.hunts) > len(counted):
            lines.append(f"{len(self.hunts) - len(counted)} more can't be seen, the results being right")
        lines += [f"survived: {_told(one)}" for one in self.survivors]
        for one in self.strange:
            what = f"jaccheck raised {one.crash}" if one.crash else f"seen by {one.law} all the same"
            what = f"{', '.join(one.misjudged)} accused as well" if one.misjudged else what
            lines.append(f"strange: {_told(one)}: {what}")
        if self.interrupted:
            lines.append("interrupted: the other faults haven't been looked for")
        return "\n".join(lines)


def scored(
    faults: Sequence[Fault],
    *,
    seed: int,
    budget: float,
    properties: Sequence[str] = tuple(PROPERTIES),
    workers: int = 1,
    watch: Callable[[Hunt], None] = lambda hunt: None,
) -> Score:
    """Look for each of `faults` by `properties`, with one worker in this process; `watch` is called after each.

    An interrupt ends it with what has been found.

    Raises:
        KeyboardInterrupt: none has been looked for yet.
    """
    score = Score(seed, budget, properties=tuple(properties))
    jobs = [
        (fault.name, seed, budget if fault.equivalent is None else min(budget, FOR_EQUIVALENT), score.properties)
        for fault in faults
    ]
    try:
        for found in _hunts(jobs, workers):
            score.hunts.append(found)
            watch(found)
    except KeyboardInterrupt:
        if not score.hunts:
            raise
        score.interrupted = True
    return score


Job = tuple[str, int, float, tuple[str, ...]]
"""A fault's name, the seed, the budget and the properties."""


def _hunts(jobs: Sequence[Job], workers: int) -> Iterator[Hunt]:
    if workers == 1:
        for name, seed, budget, laws in jobs:
            yield hunt(bank()[name], seed=seed, budget=budget, properties=laws)
        return
    with ProcessPoolExecutor(workers, mp_context=context(), initializer=_begin) as pool:
        others = active_children()
        try:
            with without_main():
                futures = [pool.submit(_in_a_worker, job) for job in jobs]
            for (name, *_), future in zip(jobs, futures, strict=True):
                yield Hunt(bank()[name], **future.result())
        except BaseException:  # Ctrl-C, say: nobody waits for what they are at
            for process in set(active_children()) - set(others):
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    serve()
    gc.freeze()  # as in fuzz


def _in_a_worker(job: Job) -> dict[str, Any]:
    """The hunt without its fault, whose functions don't travel."""
    (found,) = _hunts([job], 1)
    return {name: value for name, value in vars(found).items() if name != "fault"}


def chosen(
    names: Sequence[str] = (), groups: Sequence[str] = (), sample: int | None = None, seed: int = 0
) -> list[Fault]:
    """The faults called `names` and those of the families `groups`, or all; of these a `sample`, if asked for.

    Raises:
        InvalidProblem: there is no such fault or family.
    """
    for what, known, given in (("fault", bank(), names), ("family", families(), groups)):
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, n=3)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise InvalidProblem(f"there is no {what} {name!r}; the families are {', '.join(families())}{hint}")
    every = [
        fault for fault in bank().values() if not (names or groups) or fault.name in names or fault.family in groups
    ]
    if sample is None or sample >= len(every):
        return every
    kept = set(random.Random(seed).sample(range(len(every)), sample))
    return [fault for i, fault in enumerate(every) if i in kept]


def _row(hunt: Hunt) -> dict[str, Any]:
    return {
        "fault": hunt.fault.name,
        "family": hunt.fault.family,
        "words": hunt.fault.words,
        "accused": list(hunt.fault.accused),
        "equivalent": hunt.fault.equivalent,
        "property": hunt.law,
        "by": list(hunt.by),
        "misjudged": list(hunt.misjudged),
        "crash": hunt.crash,
        "networks": hunt.networks,
        "seconds": hunt.seconds,
        "network": None if hunt.network is None else hunt.network.to_json(),
    }


def _middle(numbers: Sequence[float]) -> float:
    return median(numbers) if numbers else 0.0


def _told(hunt: Hunt) -> str:
    return f"{hunt.fault.name} ({hunt.fault.words}), {several(hunt.networks, 'network')}, {hunt.seconds:.1f} s"
