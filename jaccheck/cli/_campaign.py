"""A campaign's log, as ``jaccheck fuzz`` goes on with it and closes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli._options import import_modules, writable
from jaccheck.cli._scripts import Script

if TYPE_CHECKING:
    from jaccheck.fuzz.log import Log
    from jaccheck.fuzz.plan import Plan
    from jaccheck.fuzz.summary import Summary

FIXED = ("examples", "seed", "path", "property", "dtype", "device", "keep_going", "no_known", "log", "save_dir", "load")
"""Options that a log has settled."""


def resumed(context: typer.Context, file: Path, seconds: float | None) -> tuple[Log, Plan]:
    """The log in `file`, open, and its plan, which may go on for `seconds`."""
    sources = {name: context.get_parameter_source(name) for name in FIXED}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InvalidProblem(f"--resume goes on with the plan of {file}; leave out {options}")
    from jaccheck.fuzz.log import Log

    log = Log.resume(file)
    plan = log.plan
    if seconds is not None:
        plan = replace(plan, seconds=log.elapsed + seconds)
    import_modules(list(plan.load))
    writable(plan.folder)
    log.again(plan)
    return log, plan


def logged(log: Log, summary: Summary, scripts: Sequence[Script]) -> None:
    """Close the log."""
    for finding, script in zip(summary.findings, scripts, strict=True):
        if script.file is not None:
            log.reproducer(finding.failure, script.file.read_text(encoding="utf-8"))
    log.close(summary)
