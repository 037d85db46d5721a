"""Measure how often the three claims of a check fail on random networks: no false alarm, sharp, something to say.

    nice python -m tests.false_alarms --checks 1000000 --seed 0 --workers 2 --keep false-alarms.jsonl > result.json

draws networks and asks properties of them as `jaccheck fuzz` does (with --plain those of `networks()`, of which none
is made to be exact, or to make libraries stumble; with --all all properties of each network), and prints as JSON: how
many checks there were, of one path by one property on one network each (not of a path that takes a pass for each
parameter where there are many of these); the verdicts of each path; the disagreements, each with the known defects
that explain it or with none, which is a false alarm or a discovery; for each dtype the largest
``|value - centre| / radius``, the share of elements of which nothing is known, and the median of
``‖radius‖ / ‖Jacobian‖`` in units of u. Exit status 1: something unexplained. The same seed gives the same networks,
with any number of workers. What --keep names holds each round that is done: the same command goes on from there, after
an interruption or with a higher number.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import pickle
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from traceback import format_exc

import torch
from hypothesis.strategies import SearchStrategy

from jaccheck import InvalidProblem, Network, Unsupported, jacobian
from jaccheck._check import versions
from jaccheck._state import untouched
from jaccheck._values import DTYPES
from jaccheck.defects.known import looked_up
from jaccheck.enclosure import Oracle
from jaccheck.enclosure.probe import UNIT_ROUNDOFF
from jaccheck.fuzz.drawing import tried
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.turns import turn
from jaccheck.paths import get, mode, resolve, rounding
from jaccheck.properties import PROPERTIES
from jaccheck.strategies import networks
from jaccheck.strategies.drawing import collected

ROUND = 200  # networks of one run of Hypothesis
MOST = 2000  # parameters, for each of which a path in forward mode takes a pass
EXAMPLES = 3  # networks kept of each disagreement that nothing explains


@dataclass
class Tally:
    """What was seen on some networks."""

    networks: int = 0
    checks: Counter[str] = field(default_factory=Counter)  # by property: of one path on one network each
    refused: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (path, status)
    disagreements: Counter[tuple[str, ...]] = field(default_factory=Counter)  # (path, property, kind, known defects …)
    examples: dict[tuple[str, ...], list[str]] = field(default_factory=dict)  # networks as JSON, or a traceback
    elements: Counter[tuple[str, str]] = field(default_factory=Counter)  # (dtype, path)
    vacuous: Counter[tuple[str, str]] = field(default_factory=Counter)
    ratios: dict[tuple[str, str], float] = field(default_factory=dict)  # the largest by (dtype, path)
    sharpness: dict[str, list[float]] = field(default_factory=dict)  # by dtype, one number a network
    checking: float = 0.0  # seconds

    def add(self, other: Tally) -> None:
        self.networks += other.networks
        self.checking += other.checking
        for name in ("checks", "refused", "verdicts", "disagreements", "elements", "vacuous"):
            getattr(self, name).update(getattr(other, name))
        for key, ratio in other.ratios.items():
            self.ratios[key] = max(ratio, self.ratios.get(key, 0.0))
        for dtype, numbers in other.sharpness.items():
            self.sharpness.setdefault(dtype, []).extend(numbers)
        for key, found in other.examples.items():
            self.examples[key] = (self.examples.get(key, []) + found)[:EXAMPLES]

    @property
    def unexplained(self) -> list[tuple[str, ...]]:
        return [key for key in self.disagreements if len(key) == 3]

    def judge(self, network: Network, paths: Sequence[str], properties: Sequence[str], measured: bool) -> None:
        """Count the verdicts on one network, and measure ratios and sharpness too if asked."""
        self.networks += 1
        if network.parameters > MOST:
            paths = [path for path in paths if mode(get(path)) != "forward"]
        start = time.perf_counter()
        try:
            report, failures, explained = looked_up(network, paths, properties, words=False)
        except InvalidProblem as error:
            self.refused[str(error)] += 1
            return
        except Exception as error:
            key = ("jaccheck itself", "", type(error).__name__)
            self._disagreement(key, f"{network.to_json()}\n{format_exc()}")
            return
        self.checking += time.perf_counter() - start
        for law in properties:
            self.checks[law] += len(report.verdicts)
        for path, verdict in report.verdicts.items():
            self.verdicts[path, verdict.status] += 1
            self.elements[network.dtype, path] += verdict.elements
            self.vacuous[network.dtype, path] += verdict.vacuous
        for failure in failures:
            ids = [defect.id for defect in explained.get(failure, ())]
            self._disagreement((*failure[:3], *ids), network.to_json())
        if measured and report.forward is None:
            self.measure(network, [path for path, v in report.verdicts.items() if v.status == "agrees"])

    def _disagreement(self, key: tuple[str, ...], example: str) -> None:
        self.disagreements[key] += 1
        if key in self.unexplained and len(self.examples.setdefault(key, [])) < EXAMPLES:
            self.examples[key].append(example)

    def measure(self, network: Network, paths: Sequence[str]) -> None:
        """Note how sharp the enclosure is, and how much of it these paths take."""
        (model, x), seed = network.build(), network.seed
        with untouched(model, x):
            try:
                oracle = Oracle(model, x, seed=seed)
            except Unsupported:
                return
        every = slice(None)
        widest, largest = 0.0, 0.0
        for name in oracle.jacobians():
            ball = oracle.rows(name, every, every)
            known = ball.radius.isfinite() & ball.centre.isfinite()
            widest += float(ball.radius[known].square().sum())
            largest += float(ball.centre[known].square().sum())
        if 0 < largest < inf and widest < inf:
            u = UNIT_ROUNDOFF[x.dtype]
            self.sharpness.setdefault(network.dtype, []).append((widest / largest) ** 0.5 / u)
        for path in paths:
            for name, got in jacobian(model, x, path, seed=seed).items():
                ball = oracle.rows(name, every, every, rounding(get(path)))
                judged = (ball.radius < inf) & (ball.radius > 0) & ball.centre.isfinite()
                ratios = (got.double() - ball.centre).abs()[judged] / ball.radius[judged]
                if ratios.numel():
                    key = (network.dtype, path)
                    self.ratios[key] = max(self.ratios.get(key, 0.0), float(ratios.max()))

    def summary(self) -> dict[str, object]:
        elements, vacuous = _by_dtype(self.elements), _by_dtype(self.vacuous)
        return {
            "networks": self.networks,
            "checks": sum(self.checks.values()),
            "checks by property": dict(self.checks),
            "verdicts": _nested(self.verdicts),
            "disagreements": [
                {
                    **dict(zip(("path", "property", "kind"), key, strict=False)),
                    "known": list(key[3:]),
                    "count": count,
                    "examples": self.examples.get(key, []),
                }
                for key, count in sorted(self.disagreements.items())
            ],
            "refused": dict(self.refused),
            "largest |value - centre| / radius": _nested(self.ratios),
            "vacuous share of elements": {
                dtype: vacuous[dtype] / elements[dtype] for dtype in elements if elements[dtype]
            },
            "median |radius| / |Jacobian| in u": {
                dtype: median(found) for dtype, found in sorted(self.sharpness.items())
            },
            "measured": {dtype: len(found) for dtype, found in sorted(self.sharpness.items())},
            "seconds of checking": self.checking,
            "versions": dict(versions()),
        }


def _by_dtype(counts: Counter[tuple[str, str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for (dtype, _), count in counts.items():
        total[dtype] += count
    return total


def _nested(pairs: dict[tuple[str, str], float] | Counter[tuple[str, str]]) -> dict[str, dict[str, float]]:
    nested: dict[str, dict[str, float]] = {}
    for (outer, inner), value in sorted(pairs.items()):
        nested.setdefault(outer, {})[inner] = value
    return nested


def drawn(seed: str, number: int, strategy: SearchStrategy[Network] | None = None) -> Iterator[Network]:
    """So many of `strategy`, by default as fuzz draws them; the same seed gives the same ones."""
    return iter(collected(tried(DTYPES) if strategy is None else strategy, count=number, seed=seed)[:number])


@dataclass(frozen=True)
class Task:
    """What is asked of each round."""

    paths: tuple[str, ...]
    properties: tuple[str, ...]
    every: int
    """Ratios and sharpness of each so-many-th network."""
    whole: bool
    """All properties on each network."""
    plain: bool = False
    """Networks of ``networks()`` instead of those of fuzz."""

    def asked(self, number: int, network: Network) -> tuple[str, ...]:
        """The properties for network `number` of a round."""
        if self.whole:
            return self.properties
        plan = Plan(0, self.paths, self.properties, tuple(DTYPES), (), examples=ROUND)
        return tuple(itertools.chain.from_iterable(turn(plan, number, network, {})))


def round_of(seed: str, number: int, task: Task) -> Tally:
    """One round."""
    torch.set_num_threads(1)
    tally = Tally()
    for i, network in enumerate(drawn(seed, number, networks() if task.plain else None)):
        tally.judge(network, task.paths, task.asked(i, network), measured=i % task.every == 0)
    return tally


Job = tuple[str, int]  # seed and number of networks


def tallies(jobs: Iterable[Job], task: Task, workers: int) -> Iterator[tuple[Job, Tally]]:
    """One for each job, in order; with one worker in this process, and never many jobs ahead."""
    if workers == 1:
        yield from ((job, round_of(*job, task)) for job in jobs)
        return
    waiting = iter(jobs)
    with ProcessPoolExecutor(workers) as pool:

        def submitted(count: int) -> list[tuple[Job, Future[Tally]]]:
            return [(job, pool.submit(round_of, *job, task)) for job in itertools.islice(waiting, count)]

        ahead = deque(submitted(2 * workers))
        try:
            while ahead:
                job, future = ahead.popleft()
                yield job, future.result()
                ahead.extend(submitted(1))
        finally:
            pool.shutdown(cancel_futures=True)


class Kept:
    """The rounds that are done, in a file: a line for each, pickled, beside what it was asked."""

    def __init__(self, file: Path | None, task: Task) -> None:
        self.file, self.asked = file, {"task": repr(task), "versions": dict(versions())}

    def rounds(self) -> dict[Job, Tally]:
        """Those of the same task with the same versions; a line that an interruption has cut off is left out."""
        found: dict[Job, Tally] = {}
        if self.file is None or not self.file.exists():
            return found
        for line in self.file.read_text(encoding="utf-8").splitlines():
            try:
                data = json.loads(line)
            except ValueError:
                continue
            if data["asked"] == self.asked:
                found[data["seed"], data["count"]] = pickle.loads(base64.b64decode(data["tally"]))
        return found

    def add(self, job: Job, tally: Tally) -> None:
        if self.file is None:
            return
        packed = base64.b64encode(pickle.dumps(tally)).decode()
        line = json.dumps({"seed": job[0], "count": job[1], "asked": self.asked, "tally": packed})
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # on a line of its own, whatever an interruption has left


def jobs_of(seed: int, networks: int | None) -> Iterator[Job]:
    """Rounds up to so many networks, or without an end."""
    for i in itertools.count():
        size = ROUND if networks is None else min(ROUND, networks - i * ROUND)
        if size <= 0:
            return
        yield f"{seed}/{i}", size


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, help="stop after so many; default: 2000, or as many as --checks takes")
    parser.add_argument("--checks", type=int, help="stop once there are so many checks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the rounds that are done, and begin with these")
    parser.add_argument("--path", action="append", help="a path's name; may be given several times; default: all paths")
    parser.add_argument("--property", action="append", help=f"likewise, of {', '.join(PROPERTIES)}; default: all")
    parser.add_argument("--plain", action="store_true", help="the networks of networks() instead of those of fuzz")
    parser.add_argument("--all", action="store_true", help="all properties on each network")
    parser.add_argument(
        "--measure-every", type=int, default=20, metavar="K", help="ratios and sharpness of each K-th network"
    )
    options = parser.parse_args(argv)
    properties = tuple(options.property or PROPERTIES)
    task = Task(resolve(options.path or "all"), properties, options.measure_every, options.all, options.plain)
    number = 2000 if options.networks is options.checks is None else options.networks
    kept, total, began = Kept(options.keep, task), Tally(), time.perf_counter()
    done = kept.rounds()

    def enough() -> bool:
        return options.checks is not None and sum(total.checks.values()) >= options.checks

    def counted(tally: Tally) -> None:
        total.add(tally)
        said = f"{total.networks} networks, {sum(total.checks.values())} checks, {len(total.unexplained)} unexplained"
        print(f"{said}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)

    try:
        for job in jobs_of(options.seed, number):
            if job not in done or enough():
                break
            counted(done[job])
        if not enough():
            missing = (job for job in jobs_of(options.seed, number) if job not in done)
            for job, tally in tallies(missing, task, options.workers):
                kept.add(job, tally)
                counted(tally)
                if enough():
                    break
    except KeyboardInterrupt:
        print("interrupted: what follows is of the rounds that were complete", file=sys.stderr)
    asked = {
        "seed": options.seed,
        "paths": list(task.paths),
        "properties": properties,
        "all": options.all,
        "plain": options.plain,
    }
    summary = {**asked, **total.summary(), "seconds": time.perf_counter() - began}
    json.dump(summary, sys.stdout, indent=2)
    print()
    return 1 if total.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
