"""A failure made small: its round is drawn again and shrunk by Hypothesis, and what is left down to its numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from hypothesis.errors import Flaky

from jaccheck._errors import Disagreement
from jaccheck._finding import CRASH, Finding, alike
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.fuzz.checking import asked, found_on
from jaccheck.fuzz.drawing import run
from jaccheck.fuzz.plan import ROUND, Plan
from jaccheck.fuzz.progress import Progress
from jaccheck.minimize import minimized, with_fewer_steps

SHRINKING = 60.0  # seconds for one failure, if the time isn't limited otherwise
HYPOTHESIS = 0.5  # the share of them after which Hypothesis has to leave the rest to `minimized`


class _Stop(KeyboardInterrupt):
    """The time is up; Hypothesis lets it through as it does Ctrl-C."""


class _NotAgain(_Stop):
    """The failure doesn't show on the network that it showed on."""


@dataclass
class Chased:
    """What came of it."""

    finding: Finding
    tried: int
    """Networks."""
    seconds: float
    interrupted: bool = False


class _Chase:
    """One failure while it is made smaller: all others are left for later."""

    def __init__(self, plan: Plan, index: int, finding: Finding, deadline: float, progress: Progress) -> None:
        self.plan, self.index, self.failure = plan, index, finding.failure
        self.deadline, self.progress = deadline, progress
        self.first = self.last = self.smallest = finding
        self.tried = 0
        self.steps = finding.network.steps
        """What happens to all that are tried."""
        self._before = index % ROUND  # networks of the round that come before
        self._passed = 0
        # Hypothesis tells failures apart by the class of the exception
        self._exception: type[Disagreement] = type("Disagreement", (Disagreement,), {})

    def begin(self) -> None:
        """Find out which steps it takes, before anything else: the fewer, the sooner each trial is done."""
        self.steps = with_fewer_steps(self.first.network, self.fails, self.over).steps
        self.smallest = self.last

    def over(self) -> bool:
        return self.progress.stopped() or time.monotonic() >= self.deadline

    def judge(self, network: Network) -> None:
        """Raise if `network` shows the failure with `steps`."""
        if self.over():
            raise _Stop
        self._passed += 1
        if self._passed <= self._before:
            return
        if self.fails(replace(network, steps=self.steps)):
            self.smallest = min(self.smallest, self.last, key=lambda f: (len(f.network.to_json()), f.network.to_json()))
            raise self._exception
        if self._passed == self._before + 1:
            raise _NotAgain

    def fails(self, network: Network) -> bool:
        """Whether `network` shows the failure, in the same way."""
        if network.dtype not in self.plan.dtypes or network.device not in self.plan.devices:
            return False
        self.tried += 1
        self.progress.take(network, self.index, "shrinking")
        found = found_on(self.plan, network, *self.plan.question(self.failure)).get(self.failure._replace(shape=""))
        self.progress.free()
        if found is None or not alike(found.family, self.first.family):
            return False
        self.last = found.called(self.failure)
        return True


def chase(plan: Plan, index: int, finding: Finding, seconds: float, progress: Progress) -> Chased:
    """Make the network of `finding`, which is number `index` of the campaign, as small as it gets in `seconds`."""
    start = time.monotonic()
    seconds = min(seconds, SHRINKING)
    chased = _Chase(plan, index, finding, start + HYPOTHESIS * seconds, progress)
    number = index // ROUND
    complete, reproducible, interrupted = True, True, False
    try:
        try:
            chased.begin()
            run(plan, number, plan.round_size(number), chased.judge)
        except Disagreement:
            pass
        except (Flaky, _NotAgain):
            reproducible = False
        except _Stop:
            chased.last = chased.smallest
        if reproducible:
            left = start + seconds - time.monotonic()
            complete = minimized(chased.last.network, chased.fails, seconds=left, stop=progress.stopped).complete
    except KeyboardInterrupt:
        complete, interrupted = False, True
    small = replace(chased.last, unfinished=not complete, reproducible=reproducible)
    if finding.failure.path != CRASH and not interrupted:
        small = replace(small, report=_whole(plan, small, plan.question(finding.failure)[1]))
    return Chased(small, chased.tried, time.monotonic() - start, interrupted)


def _whole(plan: Plan, finding: Finding, properties: tuple[str, ...]) -> Report | None:
    """The report with the verdicts on all paths, the known ones being named, and with pictures."""
    try:
        found = asked(plan, finding.network, plan.paths, properties, images=True).found
    except Exception:  # of another path, or a picture: what has been found is worth more than they are
        return finding.report
    return found.get(finding.failure._replace(shape=""), finding).report
