"""What the command line shows: colours and a progress bar on a terminal, plain text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaccheck._report import COUNTED, Report
from jaccheck._text import aligned, percent, several

if TYPE_CHECKING:
    from jaccheck._finding import Finding
    from jaccheck.cli._scripts import Script
    from jaccheck.defects.register import Defect
    from jaccheck.fuzz.summary import Summary

STOPPED = {
    "examples": "all networks tried",
    "seconds": "the time was up",
    "finding": "a failure was found",
    "interrupted": "interrupted",
}


def _colours() -> bool:
    """Whether rich is there; without it the terminal gets what a file does."""
    return find_spec("rich") is not None


def say(text: str, style: str = "") -> None:
    """Print `text` as it is: coloured on a terminal, never wrapped."""
    if not (sys.stdout.isatty() and _colours()):
        print(text)
        return
    from rich.console import Console
    from rich.text import Text

    said = Text(text, style)
    if not style:
        said.highlight_regex(r"(?m)^'.*\.$|^The model's own values.*$|\bdisagrees?\b", "bold red")
        said.highlight_regex(r"\bagrees?\b", "green")
        said.highlight_regex(r"\b(unsupported|vacuous|known)\b", "yellow")
    Console(file=sys.stdout, highlight=False, soft_wrap=True).print(said)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal."""
    if not (sys.stderr.isatty() and _colours()):
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def show(report: Report, known: Mapping[str, Sequence[Defect]]) -> None:
    """The report, and which of its verdicts are known defects."""
    say(str(report))
    for path, defects in known.items():
        for defect in defects:
            say(f"  known       {path}: {defect.shows} ({defect.id})")


def show_summary(summary: Summary, files: Sequence[Path | None], scripts: Sequence[Script]) -> None:
    """What fuzz did: each failure with its report and its files, then the counts."""
    for finding, file, script in zip(summary.findings, files, scripts, strict=True):
        _show_finding(finding, file, script, summary)
    plan = summary.plan
    limit = f" --examples {plan.examples}" if plan.examples is not None else ""
    done = f"{several(summary.networks, 'network')}, {several(summary.checks, 'path check')}"
    say(f"{done} in {summary.seconds:.1f} s; {STOPPED[summary.stopped]}; --seed {plan.seed}{limit}")
    for line in _table(summary):
        say(line, "none")
    for path in summary.unjudged:
        say(f"  nothing is shown of {path}: it was judged on no network", "yellow")
    show_known(summary.known)
    for reason, number in summary.refused.most_common():
        say(f"  refused: {several(number, 'network')}: {reason}")
    if summary.shrinking:
        say(f"  shrinking: {several(summary.shrinking, 'network')}")
    if len(summary.spent) > 1:
        order = {name: place for place, name in enumerate((*plan.properties, "shrinking"))}
        spent = sorted(summary.spent.items(), key=lambda item: order.get(item[0].partition(", ")[0], len(order)))
        say("  time: " + "; ".join(f"{what} {seconds:.1f} s" for what, seconds in spent))
    for finding in summary.findings:
        say(f"  found: {finding.failure}", "bold red")


def show_known(known: Mapping[str, int]) -> None:
    """The known defects that were seen, each with the number of networks."""
    if known:
        from jaccheck.defects.register import register

        shows = {defect.id: defect.shows for defect in register()}
        for name, number in sorted(known.items(), key=lambda item: -item[1]):
            say(f"  known: {name}, {several(number, 'network')}: {shows.get(name, 'no longer in the register')}")


def summary_data(summary: Summary, files: Sequence[Path | None], scripts: Sequence[Script]) -> dict[str, Any]:
    """The summary for --json."""
    plan = summary.plan
    return {
        "format": 1,
        "ok": summary.ok,
        "seed": plan.seed,
        "stopped": summary.stopped,
        "seconds": summary.seconds,
        "paths": list(plan.paths),
        "properties": list(plan.properties),
        "dtypes": list(plan.dtypes),
        "devices": list(plan.devices),
        "networks": summary.networks,
        "checks": summary.checks,
        "verdicts": {path: {status: counts[status] for status in COUNTED} for path, counts in summary.verdicts.items()},
        "elements": dict(summary.elements),
        "vacuous": dict(summary.vacuous),
        "unjudged": list(summary.unjudged),
        "known": dict(summary.known),
        "refused": dict(summary.refused),
        "replayed": summary.replayed,
        "shrinking": summary.shrinking,
        "spent": dict(summary.spent),
        "findings": [
            {
                **finding.data(),
                "file": None if file is None else str(file),
                "script": script.data(),
                "again": summary.again[finding.failure],
                "finished": not finding.unfinished,
                "reproducible": finding.reproducible,
                "report": None if finding.report is None else finding.report.data(),
                "crash": finding.crash,
            }
            for finding, file, script in zip(summary.findings, files, scripts, strict=True)
        ],
    }


def _show_finding(finding: Finding, file: Path | None, script: Script, summary: Summary) -> None:
    from jaccheck._finding import replay

    if finding.report is not None:
        say(str(finding.report))
    if finding.crash is not None:
        whose = "" if finding.failure.property == "process" else ": a fault of jaccheck's own"
        say(f"{finding.failure}{whose}.\n{finding.crash.rstrip()}")
    say(f"  network     {finding.network!r}")
    if finding.unfinished:
        say("  unfinished  the time was up before the network was as small as it can be")
    if not finding.reproducible:
        say("  comes and goes: the same network fails at one time and doesn't at another")
    if again := summary.again[finding.failure]:
        say(f"  seen        on {several(again, 'further network')}")
    where = (
        f"{file}, see it again by: {replay(str(file), summary.plan.load)}" if file else "nowhere: it can't be written"
    )
    say(f"  saved       {where}")
    say(f"  script      {script}\n")


def _table(summary: Summary) -> Iterator[str]:
    heads = ("path", *COUNTED, "vacuous elements")
    rows = [
        (path, *(str(counts[status]) for status in COUNTED), _share(summary.vacuous[path], summary.elements[path]))
        for path, counts in summary.verdicts.items()
    ]
    yield from aligned([heads, *rows] if rows else [], left=1)


def _share(part: int, whole: int) -> str:
    return percent(part, whole) if whole else ""
