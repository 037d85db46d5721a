"""Reproducers, written beside what they belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jaccheck._finding import Finding
    from jaccheck._report import Report


@dataclass(frozen=True)
class Script:
    """Where a reproducer has been written, or why there is none."""

    file: Path | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"none: {self.reason}" if self.file is None else f"{self.file}, run it by: python {self.file}"

    def data(self) -> dict[str, Any]:
        return {**asdict(self), "file": None if self.file is None else str(self.file)}


def script(file: Path, make: Callable[[], str]) -> Script:
    """Write what `make` gives into `file`; one that has been there goes where it gives none."""
    from jaccheck.reproducer import NoReproducer

    try:
        try:
            file.write_text(make(), encoding="utf-8")
        except NoReproducer as error:
            file.unlink(missing_ok=True)
            return Script(reason=str(error))
    except OSError as error:
        return Script(reason=f"can't write {file}: {error.strerror or error}")
    return Script(file)


def of_report(file: Path | None, model: nn.Module, x: Tensor, report: Report, seed: int | None = None) -> Script | None:
    """The reproducer of what a report says of a model and an input, if there is a file for it."""
    from jaccheck.reproducer import reproducer

    return None if file is None else script(file, lambda: reproducer(model, x, report, seed=seed))


def beside(finding: Finding, file: Path | None) -> Script:
    """The reproducer of a finding that has been saved in `file`."""
    if file is None:
        return Script(reason="there is no file beside which it would be")
    return script(file.with_suffix(".py"), finding.reproducer)
