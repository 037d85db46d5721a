"""What is kept of a campaign: counted, saved and logged as soon as it is known."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from jaccheck._finding import Failure, Finding, Listed
from jaccheck.fuzz.checking import Row
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.summary import Summary

Keep = Callable[[Finding], Path | None]


class Record:
    """The summary of a campaign, its files and its log, if there is one."""

    def __init__(self, summary: Summary, log: Log | None = None, keep: Keep = lambda finding: None) -> None:
        self.summary, self.log, self._keep = summary, log, keep
        self._files: dict[Failure, Path | None] = {}
        self._unsaved: dict[Failure, tuple[Finding, int, int | None]] = {}

    @property
    def listed(self) -> Listed:
        """What has been found."""
        return {finding.failure: finding.family for finding in self.summary.findings}

    def row(self, row: Row, worker: int) -> None:
        """A network has been checked."""
        again = self.listed.keys() & row.failures
        self.summary.count(row)
        self.summary.again.update(again)
        if self.log is not None:
            self.log.add(row, worker, again)

    def again(self, failures: Collection[Failure]) -> None:
        """Findings showed on a network without a row, as that of an earlier one."""
        again = self.listed.keys() & failures
        self.summary.again.update(again)
        if self.log is not None and again:
            self.log.seen(again)

    def found(self, finding: Finding, worker: int, network: int | None) -> None:
        """A new finding, on network number `network`."""
        self.summary.findings.append(finding)
        self._save(finding, worker, network)

    def smaller(self, finding: Finding, worker: int) -> None:
        """The network of a finding has been made smaller."""
        findings = self.summary.findings
        place = next(i for i, other in enumerate(findings) if other.failure == finding.failure)
        findings[place] = finding
        self._save(finding, worker, None)

    def catch_up(self) -> None:
        """Save what a Ctrl-C has kept from being saved."""
        for unsaved in list(self._unsaved.values()):
            self._save(*unsaved)

    def _save(self, finding: Finding, worker: int, network: int | None) -> None:
        self._unsaved[finding.failure] = (finding, worker, network)
        file, before = self._keep(finding), self._files.get(finding.failure)
        if before is not None and file is not None and before != file:
            before.unlink(missing_ok=True)
        self._files[finding.failure] = file
        if self.log is not None:
            self.log.finding(finding, worker, network, file)
        del self._unsaved[finding.failure]

    def event(self, what: str, worker: int | None = None, detail: str | None = None) -> None:
        """Something has happened to a worker, or to the controller."""
        if self.log is not None:
            self.log.event(what, worker, detail)

    def flush(self, seconds: float) -> None:
        """The campaign has run for so long."""
        self.summary.seconds = seconds
        if self.log is not None:
            self.log.flush(self.summary)
