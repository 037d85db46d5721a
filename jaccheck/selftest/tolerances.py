"""By how much the usual rules would have failed: false alarms on right results against faults found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jaccheck._check import versions
from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._needs import needs
from jaccheck._network import Network
from jaccheck._problem import admit
from jaccheck._text import several
from jaccheck._values import DTYPES
from jaccheck.defects.known import looked_up
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.turns import turn
from jaccheck.paths import DEFAULT, get, paths
from jaccheck.properties import PROPERTIES
from jaccheck.selftest.fault import BASE, LOOP, Fault
from jaccheck.selftest.hunt import hunt, parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Jacobian = Mapping[str, Tensor]
Close = Callable[[Tensor, Tensor], bool]


def _asserted(got: Tensor, expected: Tensor) -> bool:
    try:
        torch.testing.assert_close(got, expected)
    except AssertionError:
        return False
    return True


RULES: dict[str, Close] = {
    "torch.allclose": torch.allclose,
    "torch.testing.assert_close": _asserted,
    "atol = rtol = 1e-5": lambda got, expected: torch.allclose(got, expected, rtol=1e-5, atol=1e-5),
}
"""How people compare a path with the loop of ``torch.autograd.grad``: with the defaults, or with a round number."""
ENCLOSURE, EVERYTHING = "the enclosure", "all properties"


@dataclass
class Row:
    """One rule's record."""

    rule: str
    comparisons: int = 0
    """Of right results: a path on a network."""
    alarms: int = 0
    """Those that the rule finds fault with."""
    faults: int = 0
    killed: int = 0
    """Faults that it finds on some network."""

    @property
    def alarm_rate(self) -> float:
        return self.alarms / self.comparisons if self.comparisons else 0.0

    @property
    def score(self) -> float:
        return self.killed / self.faults if self.faults else 0.0


@dataclass
class Tolerances:
    """The record of each rule on the same networks."""

    seed: int
    networks: int
    rows: list[Row]
    by_dtype: dict[str, Counter[str]] = field(default_factory=dict)
    """Alarms of each rule by dtype."""
    interrupted: bool = False
    """It was to be more networks, or more faults."""

    def data(self) -> dict[str, Any]:
        """For JSON."""
        rows = [{**vars(row), "alarm_rate": row.alarm_rate, "score": row.score} for row in self.rows]
        by_dtype = {rule: dict(counts) for rule, counts in self.by_dtype.items()}
        facts = {"seed": self.seed, "networks": self.networks, "interrupted": self.interrupted}
        return {**facts, "versions": dict(versions()), "rules": rows, "alarms by dtype": by_dtype}

    def __str__(self) -> str:
        lines = ["| rule | false alarms | faults found |", "| --- | --- | --- |"]
        for row in self.rows:
            alarms = f"{row.alarms} of {row.comparisons} ({100 * row.alarm_rate:.1f} %)"
            lines.append(f"| {row.rule} | {alarms} | {row.killed} of {row.faults} ({100 * row.score:.1f} %) |")
        if self.interrupted:
            lines.append(f"\ninterrupted after {several(self.networks, 'network')}, {several(row.faults, 'fault')}")
        return "\n".join(lines)

    def plot(self, file: str | os.PathLike[str]) -> None:
        """Draw false alarms against faults found.

        Raises:
            ImportError: matplotlib is missing.
            OSError: the file can't be written.
        """
        figure = self.figure()
        from jaccheck._plot import saved

        saved(figure, file)

    def figure(self) -> Figure:
        """The same as a figure."""
        with needs("plot()"):
            from jaccheck.selftest._plot import figure
        return figure(self)


def tolerances(
    faults: Sequence[Fault], *, networks: int, seed: int = 0, watch: Callable[[str], None] = lambda words: None
) -> Tolerances:
    """Try the usual rules and jaccheck's on the first `networks` networks of `seed`, without faults and with each.

    Without, right results are those that are finite and that the enclosure doesn't find wrong, or for a known defect of
    the libraries alone, which is left out. With a fault, a rule has found it if on some network it finds fault with a
    path with which it found none before. An interrupt ends it with what has been counted.

    Raises:
        KeyboardInterrupt: nothing has been counted yet.
    """
    tried = list(islice(chain.from_iterable(parts(seed)), networks))
    rows = {rule: Row(rule) for rule in (*RULES, ENCLOSURE, EVERYTHING)}
    found = Tolerances(seed, 0, list(rows.values()), {rule: Counter() for rule in rows})
    try:
        _count(found, rows, faults, tried, watch)
    except KeyboardInterrupt:
        if not found.networks:
            raise
        found.interrupted = True
    return found


def _count(
    found: Tolerances,
    rows: Mapping[str, Row],
    faults: Sequence[Fault],
    tried: Sequence[Network],
    watch: Callable[[str], None],
) -> None:
    """Count in `rows`, which are those of `found`."""
    networks, seed = len(tried), found.seed
    plan = Plan(seed, paths(), tuple(PROPERTIES), DTYPES, ("cpu",), examples=networks)
    for i, network in enumerate(tried):
        laws = tuple(chain(*turn(plan, i, network, {})))  # as `fuzz` and hunts ask them
        _without_fault(network, laws, rows, found.by_dtype)
        found.networks += 1
        watch(f"without a fault: network {i + 1} of {networks}")
    before = [_differing(network, (*DEFAULT, BASE)) for network in tried]
    seen = [fault for fault in faults if fault.equivalent is None]
    for i, fault in enumerate(seen):
        killers = _killers(fault, tried, before, seed)
        for row in rows.values():
            row.faults += 1
            row.killed += row.rule in killers
        watch(f"fault {i + 1} of {len(seen)}: {fault.name} found by {', '.join(killers) or 'none'}")


def _without_fault(
    network: Network, laws: Sequence[str], rows: Mapping[str, Row], by_dtype: Mapping[str, Counter[str]]
) -> None:
    """Count what each rule says of right results on `network`, "all properties" being those of `laws`."""
    try:
        report, failures, known = looked_up(network, paths(), ("enclosure",), words=False)
        _, every, explained = looked_up(network, paths(), laws, words=False)
    except InvalidProblem:
        return
    wrong = {failure.path: failure in known for failure in failures}
    accused = {failure.path for failure in every if failure not in explained}
    results = _results(network, paths())
    expected = results.get(LOOP)
    for path, verdict in report.verdicts.items():
        if path == LOOP or verdict.status not in ("agrees", "disagrees") or wrong.get(path) or wrong.get(LOOP):
            continue
        alarmed = {rule for rule, found in ((ENCLOSURE, wrong), (EVERYTHING, accused)) if path in found}
        got = results.get(path)
        if got is None or expected is None or not _finite(got) or not _finite(expected):
            continue
        alarmed |= {rule for rule, close in RULES.items() if not _all_close(close, got, expected)}
        for rule, row in rows.items():
            row.comparisons += 1
            row.alarms += rule in alarmed
            by_dtype[rule][network.dtype] += rule in alarmed


def _killers(fault: Fault, tried: Sequence[Network], before: Sequence[set[tuple[str, str]]], seed: int) -> list[str]:
    """The rules that find `fault`."""
    killers: set[str] = set()
    others = (LOOP, fault.name) if fault.own_path else DEFAULT
    with fault.inject():
        for network, already in zip(tried, before, strict=True):
            own = {(rule, fault.name) for rule, path in already if path == fault.base}
            killers |= {rule for rule, path in _differing(network, others) - already - own}
            if len(killers) == len(RULES):
                break
    most = len(tried)
    if hunt(fault, seed=seed, budget=inf, most=most, properties=("enclosure",)).killed:
        killers |= {ENCLOSURE, EVERYTHING}
    elif hunt(fault, seed=seed, budget=inf, most=most).killed:
        killers.add(EVERYTHING)
    return [rule for rule in (*RULES, ENCLOSURE, EVERYTHING) if rule in killers]


def _differing(network: Network, names: Sequence[str]) -> set[tuple[str, str]]:
    """The pairs of a rule and a path whose result it finds to differ from that of the loop."""
    results = _results(network, names)
    expected = results.get(LOOP)
    if expected is None:
        return set()
    return {
        (rule, path)
        for path, got in results.items()
        for rule, close in RULES.items()
        if path != LOOP and not (got is not None and _all_close(close, got, expected))
    }


def _results(network: Network, names: Sequence[str]) -> dict[str, Jacobian | None]:
    """What each path gives; None where it raises, nothing where it declines."""
    found: dict[str, Jacobian | None] = {}
    try:
        problem = admit(*network.build(), seed=network.seed)
    except InvalidProblem:
        return {}
    for name in names:
        try:
            with problem.chance():
                result: Any = get(name).jacobian(problem.model, problem.x)
            found[name] = dict(result)
        except Unsupported:
            continue
        except Exception:  # whatever a wrong path does
            found[name] = None
        finally:
            problem.before.restore()
    return found


def _all_close(close: Close, got: Jacobian, expected: Jacobian) -> bool:
    """As people compare: tensor by tensor; other names, shapes or dtypes are a difference."""
    if got.keys() != expected.keys():
        return False
    try:
        return all(got[name].shape == expected[name].shape and close(got[name], expected[name]) for name in expected)
    except Exception:  # no tensors, other dtypes, sparse ones, …
        return False


def _finite(J: Jacobian) -> bool:
    return all(bool(j.isfinite().all()) for j in J.values())
