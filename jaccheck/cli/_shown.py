"""A report on the screen, and what it means for the exit status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT
from jaccheck.cli._json import put
from jaccheck.cli._options import written
from jaccheck.cli._scripts import Script

if TYPE_CHECKING:
    from jaccheck._report import Report
    from jaccheck.defects.register import Defect


def show_report(
    report: Report,
    known: Mapping[str, Sequence[Defect]],
    as_json: bool,
    plot: Path | None,
    script: Script | None = None,
) -> int:
    """Show the report and which of it is `known`, and say by the exit status whether it is a good one."""
    if as_json:
        ids = {path: [defect.id for defect in defects] for path, defects in known.items()}
        asked = {} if script is None else {"script": script.data()}
        put({**report.data(), "known": ids, **asked})
    else:
        screen.show(report, known)
        if script is not None:
            screen.say(f"  script      {script}")
    if plot is not None:
        written(plot, report.plot)
    return AGREEMENT if report.ok else DISAGREEMENT
