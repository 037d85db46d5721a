"""Random networks until one breaks something: draws, judges, shrinks, counts."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from pathlib import Path
from traceback import format_exception

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Flaky

from jaccheck._errors import Disagreement, InvalidProblem
from jaccheck._finding import CRASH, Failure, Finding, examined
from jaccheck._known import known
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.strategies import networks

ROUND = 500  # networks of one run of Hypothesis, which keeps all of a run in memory
SHRINKING = 60.0  # seconds for one failure, if the time isn't limited otherwise


@dataclass(frozen=True)
class Plan:
    """What to try, and when to stop."""

    seed: int
    paths: tuple[str, ...]
    properties: tuple[str, ...]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]
    seconds: float | None = None
    examples: int | None = None
    keep_going: bool = False
    known: bool = True
    """A known defect of the libraries is no finding."""
    replay_first: bool = False
    """Begin with the failures of earlier runs, which `folder` keeps."""
    folder: Path = Path("jaccheck-failures")


@dataclass
class Summary:
    """What was done and found."""

    plan: Plan
    networks: int = 0
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    """For each path, how often it had which status; "known" is a disagreement that is a known defect."""
    elements: Counter[str] = field(default_factory=Counter)
    """For each path, the elements of the Jacobians that were judged."""
    vacuous: Counter[str] = field(default_factory=Counter)
    """Those of which nothing was known."""
    refused: Counter[str] = field(default_factory=Counter)
    """Networks that `check` refused as invalid, by the reason."""
    known: Counter[str] = field(default_factory=Counter)
    """Known defects by id: on how many networks."""
    findings: list[Finding] = field(default_factory=list)
    again: Counter[Failure] = field(default_factory=Counter)
    """Findings seen again on other networks."""
    shrinking: int = 0
    """Networks tried to make findings smaller."""
    chasing: bool = False
    """A failure has been found and is being made smaller."""
    seconds: float = 0.0
    stopped: str = "examples"
    """By what: "examples", "seconds", "finding" or "interrupted"."""

    @property
    def checks(self) -> int:
        """Path checks: how often a path was judged on a network."""
        return sum(counter.total() for counter in self.verdicts.values())

    @property
    def ok(self) -> bool:
        return not self.findings

    def count(self, report: Report, known: Set[str]) -> None:
        """Count the verdicts on one network; those on the paths in `known` are known defects."""
        for path, verdict in report.verdicts.items():
            self.verdicts.setdefault(path, Counter())["known" if path in known else verdict.status] += 1
            self.elements[path] += verdict.elements
            self.vacuous[path] += verdict.vacuous


class Stop(KeyboardInterrupt):
    """The time is up; Hypothesis lets it through as it does Ctrl-C."""


@dataclass
class Chase:
    """One failure while it is made smaller: all others are left for later."""

    failure: Failure
    deadline: float
    last: Finding
    smallest: Finding
    reproducible: bool = True

    def __post_init__(self) -> None:
        # Hypothesis tells failures apart by the class of the exception
        self.exception: type[Disagreement] = type("Disagreement", (Disagreement,), {})

    def saw(self, finding: Finding) -> None:
        """The failure shows on another network, too."""
        self.last = finding
        self.smallest = min(self.smallest, finding, key=lambda f: (len(f.network.to_json()), f.network.to_json()))


class Fuzzer:
    """One run of `plan`; `watch` is called after each network."""

    def __init__(self, plan: Plan, watch: Callable[[Summary], None] = lambda summary: None) -> None:
        self.summary = Summary(plan)
        self.plan, self.watch = plan, watch
        self._chase: Chase | None = None

    def run(self) -> Summary:
        """Draw networks until the plan is done, something is found, or Ctrl-C.

        Raises:
            InvalidProblem: no network can be drawn within the plan's limits.
        """
        plan, summary = self.plan, self.summary
        start = time.monotonic()
        self._deadline = inf if plan.seconds is None else start + plan.seconds
        try:
            for number in count():
                left = ROUND if plan.examples is None else min(ROUND, plan.examples - summary.networks)
                if left <= 0:
                    break
                # earlier failures first, as long as each round has ended with one of them
                reuse = plan.replay_first and number == len(summary.findings)
                self._round(f"{plan.seed}/{number}", left, reuse=reuse)
                if summary.findings and not plan.keep_going:
                    summary.stopped = "finding"
                    break
        except Stop:
            summary.stopped = "seconds"
        except KeyboardInterrupt:
            summary.stopped = "interrupted"
        summary.seconds = time.monotonic() - start
        return summary

    def _round(self, seed: str, examples: int, *, reuse: bool) -> None:
        """One run of Hypothesis, which ends with the first failure, shrunk."""
        database = DirectoryBasedExampleDatabase(os.fspath(self.plan.folder / "examples"))
        phases = [Phase.reuse] * reuse + [Phase.generate, Phase.shrink]

        @hypothesis.settings(  # above the seed, which would take the database away
            max_examples=examples,
            deadline=None,
            database=database if self.plan.replay_first else None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
            verbosity=Verbosity.quiet,
        )
        @hypothesis.seed(seed)
        @hypothesis.given(networks(dtypes=self.plan.dtypes, devices=self.plan.devices))
        def judge(network: Network) -> None:
            self._judge(network)

        self._chase = None
        before = self.summary.networks
        complete = False
        try:
            judge()
            complete = True
        except Disagreement:
            complete = True
        except Flaky:
            if self._chase is None:
                raise
            self._chase.reproducible = False
        except Stop:
            if self._chase is None or time.monotonic() >= self._deadline:
                raise
        finally:
            if self._chase is not None:
                self._list(self._chase, complete)
        if self.summary.networks == before:
            raise InvalidProblem("no network can be drawn within these limits")

    def _judge(self, network: Network) -> None:
        """Raise if `network` shows what is chased, or anything new where nothing is."""
        chase, summary = self._chase, self.summary
        if time.monotonic() >= (self._deadline if chase is None else chase.deadline):
            raise Stop
        if chase is None:
            summary.networks += 1
        else:
            summary.shrinking += 1
        summary.chasing = chase is not None
        found = self._findings(network)
        self.watch(summary)
        if chase is None:
            listed = {finding.failure for finding in summary.findings}
            summary.again.update(listed & found.keys())
            new = next((finding for failure, finding in found.items() if failure not in listed), None)
            if new is None:
                return
            chase = self._chase = Chase(new.failure, min(self._deadline, time.monotonic() + SHRINKING), new, new)
        elif chase.failure not in found:
            return
        chase.saw(found[chase.failure])
        raise chase.exception

    def _findings(self, network: Network) -> dict[Failure, Finding]:
        """What is wrong on `network` and not known."""
        plan = self.plan
        found: dict[Failure, Finding] = {}
        try:
            report, reports = examined(network, plan.paths, plan.properties)
            defects = {failure: known(failure, *network.build()) if plan.known else () for failure in reports}
            for failure, told in reports.items():
                if not defects[failure]:
                    found[failure] = Finding(failure, network, plan.paths, told)
            if self._chase is None:
                others = {failure.path for failure in found}
                self.summary.count(report, {failure.path for failure in defects} - others)
                self.summary.known.update({defect.id for entries in defects.values() for defect in entries})
        except InvalidProblem as error:
            if self._chase is None:
                self.summary.refused[str(error)] += 1
        except Exception as error:  # jaccheck's own fault is a finding, too
            failure = Failure(CRASH, CRASH, type(error).__name__)
            found[failure] = Finding(failure, network, plan.paths, crash="".join(format_exception(error)))
        return found

    def _list(self, chase: Chase, complete: bool) -> None:
        finding = chase.last if complete else chase.smallest
        self.summary.findings.append(replace(finding, unfinished=not complete, reproducible=chase.reproducible))
