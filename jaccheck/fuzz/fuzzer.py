"""Random networks until one breaks something: draws, judges, shrinks, counts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from pathlib import Path
from traceback import format_exception
from types import FrameType

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Flaky

from jaccheck._errors import Disagreement, InvalidProblem
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.defects.known import known
from jaccheck.defects.register import Defect
from jaccheck.fuzz.finding import CRASH, Failure, Finding, examined
from jaccheck.strategies import networks

ROUND = 500  # networks of one run of Hypothesis, which keeps all of a run in memory
CHEAP = ("enclosure", "state", "determinism")  # properties of a path's own calls; the others make many more
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
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds for each property, or group of them, and for shrinking."""
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

    def count(self, answers: Sequence[Answer]) -> None:
        """Count the verdicts on one network, one for each path; the elements are those of the first answer."""
        found = {failure.path for answer in answers for failure in answer.found}
        known = {failure.path for answer in answers for failure in answer.known}
        for path, verdict in answers[0].report.verdicts.items():
            status = "disagrees" if path in found else "known" if path in known else verdict.status
            self.verdicts.setdefault(path, Counter())[status] += 1
            self.elements[path] += verdict.elements
            self.vacuous[path] += verdict.vacuous
        defects = (defect.id for answer in answers for entries in answer.known.values() for defect in entries)
        self.known.update(set(defects))


@dataclass
class Answer:
    """What the check of one network says."""

    report: Report
    found: dict[Failure, Finding] = field(default_factory=dict)
    known: dict[Failure, tuple[Defect, ...]] = field(default_factory=dict)


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

    def question(self, plan: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths and properties that show the failure, and no more."""
        paths = (self.failure.path,) if self.failure.path in plan.paths else plan.paths
        properties = (self.failure.property,) if self.failure.property in plan.properties else plan.properties
        return paths, properties

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
        self._interrupted = False

    def run(self) -> Summary:
        """Draw networks until the plan is done, something is found, or Ctrl-C.

        Raises:
            InvalidProblem: no network can be drawn within the plan's limits.
        """
        plan, summary = self.plan, self.summary
        start = time.monotonic()
        self._deadline = inf if plan.seconds is None else start + plan.seconds
        try:
            with self._asking_to_stop():
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

    @contextmanager
    def _asking_to_stop(self) -> Iterator[None]:
        """The first Ctrl-C takes effect with the next network, a second one at once.

        Raised in the middle of one, it would get lost now and then: in a callback of the garbage collector, say.
        """
        ours = threading.current_thread() is threading.main_thread()
        if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            self._interrupted = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

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
        if self._interrupted:
            raise KeyboardInterrupt
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
        found: dict[Failure, Finding] = {}
        chase, summary = self._chase, self.summary
        start = time.monotonic()
        try:
            if chase is not None:
                paths, properties = chase.question(self.plan)
                found = self._asked(network, paths, properties).found
                summary.spent["shrinking"] += time.monotonic() - start
                return found
            answers = []
            for properties in self._turn():
                answers.append(self._asked(network, self.plan.paths, properties))
                end = time.monotonic()
                summary.spent[", ".join(properties)] += end - start
                start = end
            for answer in answers:
                found.update(answer.found)
            summary.count(answers)
        except InvalidProblem as error:
            if chase is None:
                summary.refused[str(error)] += 1
        except Exception as error:  # jaccheck's own fault is a finding, too
            failure = Failure(CRASH, CRASH, type(error).__name__)
            found[failure] = Finding(failure, network, self.plan.paths, crash="".join(format_exception(error)))
        return found

    def _turn(self) -> list[tuple[str, ...]]:
        """The properties for the next network: those that cost little, and one of the others."""
        cheap = tuple(name for name in self.plan.properties if name in CHEAP)
        others: list[tuple[str, ...]] = [(name,) for name in self.plan.properties if name not in CHEAP]
        if others and self.plan.examples is None:  # to each the same time
            others = [min(others, key=lambda names: self.summary.spent[names[0]])]
        elif others:  # the same networks and the same questions for the same seed
            others = [others[(self.summary.networks - 1) % len(others)]]
        return [cheap, *others] if cheap else others

    def _asked(self, network: Network, paths: tuple[str, ...], properties: tuple[str, ...]) -> Answer:
        report, reports = examined(network, paths, properties)
        answer = Answer(report)
        for failure, told in reports.items():
            defects = known(failure, *network.build()) if self.plan.known else ()
            if defects:
                answer.known[failure] = defects
            else:
                answer.found[failure] = Finding(failure, network, self.plan.paths, told)
        return answer

    def _list(self, chase: Chase, complete: bool) -> None:
        """Note what was chased, with the verdicts on all paths."""
        finding = replace(
            chase.last if complete else chase.smallest, unfinished=not complete, reproducible=chase.reproducible
        )
        self.summary.findings.append(finding)
        if chase.failure.path != CRASH:
            _, reports = examined(finding.network, self.plan.paths, chase.question(self.plan)[1])
            told = reports.get(chase.failure, finding.report)
            self.summary.findings[-1] = replace(finding, report=told)
