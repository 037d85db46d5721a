"""A campaign's log, as ``jaccheck fuzz`` goes on with it and closes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli._options import given, import_modules, writable
from jaccheck.cli._scripts import Script

if TYPE_CHECKING:
    from jaccheck._finding import Finding
    from jaccheck.fuzz.crew import Worker
    from jaccheck.fuzz.log import Log
    from jaccheck.fuzz.plan import Plan
    from jaccheck.fuzz.summary import Summary

FIXED = (
    *("examples", "seed", "database", "path", "property", "dtype", "device", "keep_going", "no_known", "log"),
    *("save_dir", "load"),
)
"""Options that a log has settled."""
TIMEOUT = 300.0
FEWEST = 50  # networks for which it is worth while to start a process


def resumed(context: typer.Context, file: Path, seconds: float | None) -> tuple[Log, Plan]:
    """The log in `file`, open, and its plan, which may go on for `seconds`."""
    options = given(context, FIXED)
    if options:
        raise InvalidProblem(f"--resume goes on with the plan of {file}; leave out {', '.join(options)}")
    from jaccheck.fuzz.log import Log

    log = Log.resume(file)
    plan = log.plan
    if seconds is not None:
        plan = replace(plan, seconds=log.elapsed + seconds)
    import_modules(list(plan.load))
    check_folders(plan)
    log.again(plan)
    return log, plan


def check_folders(plan: Plan) -> None:
    """Refuse a plan whose findings can't be kept."""
    writable("--save-dir", plan.folder)
    if plan.database is not None and "://" not in plan.database:
        writable("--database", Path(plan.database))


def saved(folder: Path, finding: Finding) -> Path | None:
    """Where the finding has been saved; if it can't be, that is said, and the campaign goes on."""
    try:
        return finding.save(folder)
    except OSError as error:
        print(f"jaccheck: can't write {folder}: {error.strerror or error}", file=sys.stderr)
        return None


@contextmanager
def crew(
    plan: Plan, workers: int | None, timeout: float | None, dask: str | None, registered: frozenset[str]
) -> Iterator[list[Worker]]:
    """Who does it: the calling process if that is enough, processes on this machine, or a cluster.

    Only this process has the paths that were `registered` before its modules were loaded.
    """
    from jaccheck.fuzz.crew import CallingWorker
    from jaccheck.fuzz.once import warned_once
    from jaccheck.fuzz.pool import cores, hired

    own = [path for path in plan.paths if path in registered]
    number = (1 if own else _fitting(plan, len(cores()))) if workers is None else workers
    if number == 1 and timeout is None and dask is None:
        with warned_once():  # what others print goes to a file
            yield [CallingWorker()]
        return
    if own:
        raise InvalidProblem(
            f"path {own[0]!r} is known to this process alone: name the module that registers it by --load, "
            "or take --workers 1"
        )
    if dask is not None:
        from jaccheck.fuzz.cluster import reached

        with reached(dask, workers, plan.load) as others:
            yield list(others)
        return
    with hired(number, plan.load) as processes:
        yield list(processes)


def _fitting(plan: Plan, cores: int) -> int:
    """One worker a core, unless there is too little to do."""
    return cores if plan.examples is None else max(1, min(cores, plan.examples // FEWEST))


def registered() -> frozenset[str]:
    """The paths that are known already, and aren't built in."""
    from jaccheck.paths import get, paths

    return frozenset(path for path in paths() if not type(get(path)).__module__.startswith("jaccheck.paths"))


def logged(log: Log, summary: Summary, scripts: Sequence[Script]) -> None:
    """Close the log."""
    for finding, script in zip(summary.findings, scripts, strict=True):
        if script.file is not None:
            log.reproducer(finding.failure, script.file.read_text(encoding="utf-8"))
    log.close(summary)
