"""Measure how often the three claims of a check fail on random networks: no false alarm, sharp, something to say.

    python -m tests.false_alarms --networks 100000 --seed 0 --workers 2

draws networks from `jaccheck.strategies.networks()` with its defaults, judges every path by every property, and prints
as JSON: the verdicts of each path; the disagreements, each with the known defects that explain it or with none, which
is a false alarm or a discovery; for each dtype the largest ``|value - centre| / radius``, the share of elements of
which nothing is known, and the median of ``‖radius‖ / ‖Jacobian‖`` in units of u. Exit status 1: something unexplained.
The same seed gives the same networks, with any number of workers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from math import inf
from statistics import median
from traceback import format_exc

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, Verbosity

from jaccheck import InvalidProblem, Network, Unsupported, jacobian
from jaccheck._check import versions
from jaccheck._state import untouched
from jaccheck.defects.known import known
from jaccheck.enclosure import Oracle
from jaccheck.enclosure.probe import UNIT_ROUNDOFF
from jaccheck.fuzz.finding import Failure, examined
from jaccheck.paths import extra_roundings, get, mode, resolve
from jaccheck.properties import PROPERTIES
from jaccheck.strategies import networks

ROUND = 500  # networks of one run of Hypothesis
EXAMPLES = 3  # networks kept of each disagreement that nothing explains


@dataclass
class Tally:
    """What was seen on some networks."""

    networks: int = 0
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
        for name in ("refused", "verdicts", "disagreements", "elements", "vacuous"):
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
        start = time.perf_counter()
        try:
            report, failures = examined(network, tuple(paths), tuple(properties))
        except InvalidProblem as error:
            self.refused[str(error)] += 1
            return
        except Exception as error:
            key = ("jaccheck itself", "", type(error).__name__)
            self._disagreement(key, f"{network.to_json()}\n{format_exc()}")
            return
        self.checking += time.perf_counter() - start
        for path, verdict in report.verdicts.items():
            self.verdicts[path, verdict.status] += 1
            self.elements[network.dtype, path] += verdict.elements
            self.vacuous[network.dtype, path] += verdict.vacuous
        for failure in failures:
            self._disagreement((*failure[:3], *self._explained(failure, network)), network.to_json())
        if measured and report.forward is None:
            self._measure(network, [path for path, v in report.verdicts.items() if v.status == "agrees"])

    def _explained(self, failure: Failure, network: Network) -> tuple[str, ...]:
        return tuple(defect.id for defect in known(failure, *network.build()))

    def _disagreement(self, key: tuple[str, ...], example: str) -> None:
        self.disagreements[key] += 1
        if key in self.unexplained and len(self.examples.setdefault(key, [])) < EXAMPLES:
            self.examples[key].append(example)

    def _measure(self, network: Network, paths: Sequence[str]) -> None:
        model, x = network.build()
        with untouched(model, x):
            try:
                oracle = Oracle(model, x)
            except Unsupported:
                return
        every = slice(None)
        widest, largest = 0.0, 0.0
        for name in oracle.jacobians()[1]:
            ball = oracle.rows(name, every, every)
            known = ball.radius.isfinite() & ball.centre.isfinite()
            widest += float(ball.radius[known].square().sum())
            largest += float(ball.centre[known].square().sum())
        if 0 < largest < inf and widest < inf:
            u = UNIT_ROUNDOFF[x.dtype]
            self.sharpness.setdefault(network.dtype, []).append((widest / largest) ** 0.5 / u)
        for path in paths:
            roundings = {"mode": mode(get(path)), "extra_roundings": extra_roundings(get(path))}
            for name, got in jacobian(model, x, path).items():
                ball = oracle.rows(name, every, every, **roundings)
                judged = (ball.radius < inf) & (ball.radius > 0) & ball.centre.isfinite()
                ratios = (got.double() - ball.centre).abs()[judged] / ball.radius[judged]
                if ratios.numel():
                    key = (network.dtype, path)
                    self.ratios[key] = max(self.ratios.get(key, 0.0), float(ratios.max()))

    def summary(self) -> dict[str, object]:
        elements, vacuous = _by_dtype(self.elements), _by_dtype(self.vacuous)
        return {
            "networks": self.networks,
            "checks": sum(self.verdicts.values()),
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


def drawn(seed: str, count: int) -> Iterator[Network]:
    """`count` networks; the same seed gives the same ones."""
    found: list[Network] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @hypothesis.given(networks())
    def collect(network: Network) -> None:
        found.append(network)

    collect()
    return iter(found[:count])


def round_of(seed: str, count: int, paths: Sequence[str], properties: Sequence[str], every: int) -> Tally:
    """One round, with ratios and sharpness of every so many networks."""
    torch.set_num_threads(1)
    tally = Tally()
    for i, network in enumerate(drawn(seed, count)):
        tally.judge(network, paths, properties, measured=i % every == 0)
    return tally


def tallies(
    jobs: Sequence[tuple[str, int]], paths: Sequence[str], properties: Sequence[str], every: int, workers: int
) -> Iterator[Tally]:
    """One for each job, in order; with one worker in this process."""
    if workers == 1:
        yield from (round_of(*job, paths, properties, every) for job in jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(round_of, *job, paths, properties, every) for job in jobs]
        try:
            yield from (future.result() for future in futures)
        finally:
            pool.shutdown(cancel_futures=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--path", action="append", help="a path's name; may be given several times; default: all paths")
    parser.add_argument("--property", action="append", help=f"likewise, of {', '.join(PROPERTIES)}; default: all")
    parser.add_argument(
        "--measure-every", type=int, default=4, metavar="K", help="ratios and sharpness of each K-th network"
    )
    options = parser.parse_args(argv)
    paths = resolve(options.path or "all")
    properties = tuple(options.property or PROPERTIES)
    starts = range(0, options.networks, ROUND)
    jobs = [(f"{options.seed}/{i}", min(ROUND, options.networks - start)) for i, start in enumerate(starts)]
    total, began = Tally(), time.perf_counter()
    try:
        for tally in tallies(jobs, paths, properties, options.measure_every, options.workers):
            total.add(tally)
            said = f"{total.networks} of {options.networks} networks, {len(total.unexplained)} unexplained"
            print(f"{said}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted: what follows is of the rounds that were complete", file=sys.stderr)
    asked = {"seed": options.seed, "paths": list(paths), "properties": properties}
    summary = {**asked, **total.summary(), "seconds": time.perf_counter() - began}
    json.dump(summary, sys.stdout, indent=2)
    print()
    return 1 if total.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
