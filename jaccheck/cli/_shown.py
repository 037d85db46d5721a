"""A report on the screen, and what it means for the exit status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT
from jaccheck.cli._json import put
from jaccheck.cli._options import written
from jaccheck.cli._scripts import Script

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jaccheck._report import Report
    from jaccheck.defects.register import Defect


def show_report(
    report: Report,
    model: nn.Module,
    x: Tensor,
    as_json: bool,
    plot: Path | None,
    script: Script | None = None,
    seed: int | None = None,
) -> int:
    """Show the report, and say by the exit status whether it is a good one."""
    known = _known_defects(report, model, x, seed)
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


def _known_defects(report: Report, model: nn.Module, x: Tensor, seed: int | None) -> dict[str, tuple[Defect, ...]]:
    """For each path that disagrees, the defects of the register that are all that is wrong with it."""
    if report.ok:
        return {}
    from jaccheck._finding import failures
    from jaccheck.defects.known import known

    found = {failure.path: known(failure, model, x, seed=seed) for failure in failures(report)}
    # a reason beside the values: the path breaks another property, too
    return {path: defects for path, defects in found.items() if defects and report.verdicts[path].reason is None}
