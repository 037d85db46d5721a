"""A campaign while it runs: a picture that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from jaccheck._report import COUNTED
from jaccheck._text import several

if TYPE_CHECKING:
    from rich.console import RenderableType

    from jaccheck.fuzz.plan import Plan
    from jaccheck.fuzz.summary import Summary

EVERY = 60.0  # seconds between two lines where there is no terminal
RECENT = 10.0  # seconds over which the rate is taken
RAREST = 4  # features that are named, those that the fewest networks had


@contextmanager
def watching(plan: Plan, *, quiet: bool) -> Iterator[Callable[[Summary], None]]:
    """Show the campaign on stderr; `quiet` leaves out the lines."""
    view = View(plan)
    if not (sys.stderr.isatty() and find_spec("rich") is not None):
        yield view.note if quiet else Lines(view).note
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), transient=True, refresh_per_second=3, get_renderable=view.render):
        yield view.note


class View:
    """What is known of the campaign at the moment."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.summary: Summary | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def note(self, summary: Summary) -> None:
        self.summary = summary
        now = time.monotonic()
        self._recent.append((now, summary.networks))
        while self._recent[0][0] < now - RECENT:
            self._recent.popleft()

    @property
    def rate(self) -> float:
        """Networks per second, of late."""
        if len(self._recent) < 2:
            return 0.0
        (start, before), (end, now) = self._recent[0], self._recent[-1]
        return (now - before) / (end - start) if end > start else 0.0

    def share(self) -> tuple[float, str]:
        """How much is done, from 0 to 1, and the time that is left in words."""
        assert self.summary is not None
        plan, summary = self.plan, self.summary
        if plan.examples is not None:
            left = (plan.examples - summary.networks) / self.rate if self.rate else float("inf")
            return summary.networks / plan.examples, _clock(left)
        if plan.seconds is not None:
            return min(1.0, summary.seconds / plan.seconds), _clock(plan.seconds - summary.seconds)
        return 0.0, ""

    def headline(self) -> str:
        """One line: networks, rate, findings, time."""
        assert self.summary is not None
        summary = self.summary
        parts = [several(summary.networks, "network"), f"{self.rate:.1f}/s", several(summary.checks, "path check")]
        parts += [f"{summary.known.total():,} known", f"{len(summary.findings)} found", _clock(summary.seconds)]
        _, left = self.share()
        return ", ".join(parts) + (f", {left} left" if left else "")

    def render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self.summary is None or not self.summary.networks:
            return Text("starting")
        done, _ = self.share()
        top = Table.grid(padding=(0, 1))
        top.add_row(ProgressBar(total=1.0, completed=done, width=20), Text(self.headline(), "bold"))
        lines: list[Any] = [top, self._paths(), Text(self._properties()), Text(self._coverage())]
        lines += [Text(self._crew())] if self.summary.crew else []
        lines += [Text(f"found: {finding.failure}", "bold red") for finding in self.summary.findings]
        return Group(*lines)

    def _paths(self) -> RenderableType:
        from rich.table import Table

        assert self.summary is not None
        table = Table(box=None, pad_edge=False)
        table.add_column("path")
        for status in COUNTED:
            table.add_column(status, justify="right")
        for path, statuses in list(self.summary.verdicts.items()):
            table.add_row(path, *(f"{statuses[status]:,}" for status in COUNTED))
        return table

    def _properties(self) -> str:
        assert self.summary is not None
        counts = ((law, statuses.total()) for law, statuses in list(self.summary.properties.items()))
        return "properties: " + ", ".join(f"{law} {number:,}" for law, number in counts)

    def _coverage(self) -> str:
        from jaccheck.fuzz.features import ALL

        assert self.summary is not None
        had = self.summary.features
        rarest = sorted(ALL, key=lambda name: had[name])[:RAREST]
        seen = sum(had[name] > 0 for name in ALL)
        return f"features: {seen} of {len(ALL)}; rarest: " + ", ".join(f"{name} {had[name]:,}" for name in rarest)

    def _crew(self) -> str:
        assert self.summary is not None
        tried = f" ({self.summary.shrinking:,} tried)" if self.summary.shrinking else ""
        return "workers: " + ", ".join(self.summary.crew) + tried


class Lines:
    """The headline every minute."""

    def __init__(self, view: View) -> None:
        self._view, self._next = view, time.monotonic() + EVERY

    def note(self, summary: Summary) -> None:
        self._view.note(summary)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            print(self._view.headline(), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return ""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
