"""What a page, or another export, says of a campaign: read off its log's totals, as plain data."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jaccheck._finding import Finding, replay
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.fuzz.logfile import reading, spoken
from jaccheck.fuzz.logread import counts

Tree = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True)
class FindingRow:
    """One finding: what it is, the network that shows it, and how to see it again."""

    path: str
    property: str
    kind: str
    headline: str
    text: str
    """The report in words, or a traceback."""
    network: Network
    report: Report | None
    reproducer: str | None
    file: str | None
    again: int
    smallest: bool
    reproducible: bool
    at: datetime


@dataclass(frozen=True)
class Cell:
    """How often which status, for one path, dtype and kind of layer."""

    path: str
    dtype: str
    layer: str
    statuses: Mapping[str, int]


@dataclass(frozen=True)
class Content:
    """A campaign."""

    log: str
    counts: Mapping[str, Any]
    """What ``jaccheck report --json`` says."""
    started: datetime
    elements: int
    """Of all Jacobians that were judged."""
    vacuous: int
    paths: Mapping[str, Mapping[str, int]]
    """For each path, how often which status."""
    properties: Tree
    """For each property and path, likewise."""
    cells: tuple[Cell, ...]
    findings: tuple[FindingRow, ...]
    features: tuple[tuple[str, int], ...]
    """Name, and how many networks have it."""
    costs: tuple[tuple[str, float, float, int], ...]
    """Path, entries of the Jacobian, mean seconds, networks."""
    sharpness: tuple[tuple[str, str, float, int], ...]
    """Path, dtype, lower end of the resolution in u (a quarter octave wide), networks."""
    spent: tuple[tuple[str, float], ...]
    minutes: tuple[tuple[datetime, int], ...]
    """Networks in each minute."""
    events: tuple[tuple[datetime, int | None, str, str], ...]
    """When, worker (None: the controller), what, detail."""
    known: tuple[tuple[str, int, int, str], ...]
    """Known defects: id, networks, the number of the first, what they show."""

    @property
    def seconds(self) -> float:
        return float(self.counts["seconds"])

    @property
    def dtypes(self) -> tuple[str, ...]:
        return tuple(self.counts["plan"]["dtypes"])

    def replay(self, file: str) -> str:
        """The command line that shows the failure in `file` again."""
        return replay(file, self.counts["plan"].get("load", ()))

    def suites(self) -> tuple[str, ...]:
        """The paths, and what else findings are of."""
        planned = [*self.counts["plan"]["paths"], *(finding.path for finding in self.findings)]
        return tuple(dict.fromkeys(planned))

    def laws(self, path: str) -> tuple[str, ...]:
        """The properties asked of `path`, and those that it was found to break."""
        found = [finding.property for finding in self.findings if finding.path == path]
        asked = [law for law, by_path in self.properties.items() if path in by_path]
        return tuple(dict.fromkeys([*asked, *found]))

    def facts(self) -> Iterator[tuple[str, str]]:
        """What the result depends on, by name."""
        yield "seed", str(self.counts["seed"])
        for name in ("dtypes", "devices", "paths", "properties"):
            yield name, ", ".join(self.counts["plan"][name])
        for name, value in (*self.counts["versions"].items(), *self.counts["machine"].items()):
            yield name, str(value)


def content_of(log: Path) -> Content:
    """What the log says.

    Raises:
        LogFailure: it can't be read, or is no log.
    """
    found = counts(log)
    db = reading(log)
    try:
        with spoken(log):
            meta = dict(db.execute("SELECT key, value FROM meta"))
            elements, vacuous = db.execute(
                "SELECT coalesce(sum(elements), 0), coalesce(sum(vacuous), 0) FROM path_total"
            ).fetchone()
            return Content(
                log=log.name,
                counts=found,
                started=_time(float(meta["started"])),
                elements=elements,
                vacuous=vacuous,
                paths=found["verdicts"],
                properties=_properties(db),
                cells=tuple(_cells(db)),
                findings=tuple(_findings(db)),
                features=tuple(db.execute("SELECT name, networks FROM feature ORDER BY networks DESC, name")),
                costs=tuple(
                    (path, 1.5 * 2.0**size, micro / max(networks, 1) / 1e6, networks)
                    for path, size, networks, micro in db.execute(
                        "SELECT path, size, sum(networks), sum(microseconds) FROM cost GROUP BY path, size "
                        "ORDER BY path, size"
                    )
                ),
                sharpness=tuple(
                    (path, dtype, 2.0 ** (quarter / 4), networks)
                    for path, dtype, quarter, networks in db.execute(
                        "SELECT path, dtype, quarter, networks FROM sharpness ORDER BY path, dtype, quarter"
                    )
                ),
                spent=tuple(db.execute("SELECT what, seconds FROM spent ORDER BY seconds DESC")),
                minutes=tuple(
                    (_time(60.0 * minute), networks)
                    for minute, networks in db.execute("SELECT minute, networks FROM minute ORDER BY minute")
                ),
                events=tuple(
                    (_time(at), worker, what, detail or "")
                    for at, worker, what, detail in db.execute("SELECT at, worker, what, detail FROM event ORDER BY id")
                ),
                known=tuple(_known(db)),
            )
    finally:
        db.close()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _properties(db: sqlite3.Connection) -> Tree:
    tree: Tree = {}
    for law, path, status, networks in db.execute("SELECT property, path, status, networks FROM property_total"):
        tree.setdefault(law, {}).setdefault(path, {})[status] = networks
    return tree


def _cells(db: sqlite3.Connection) -> Iterator[Cell]:
    query = "SELECT path, dtype, layer, status, sum(networks) FROM layer_total GROUP BY path, dtype, layer, status"
    cells: dict[tuple[str, str, str], dict[str, int]] = {}
    for path, dtype, layer, status, networks in db.execute(query):
        cells.setdefault((path, dtype, layer), {})[status] = networks
    for where, statuses in cells.items():
        yield Cell(*where, statuses)


def _findings(db: sqlite3.Connection) -> Iterator[FindingRow]:
    query = "SELECT json, report, detail, reproducer, file, again, smallest, reproducible, at FROM finding ORDER BY id"
    for text, report, detail, reproducer, file, again, smallest, reproducible, at in db.execute(query):
        finding = Finding.from_json(text)
        told = None if report is None else Report.from_json(report)
        yield FindingRow(
            *finding.failure[:3],
            headline=str(finding.failure),
            text=str(told) if told is not None else detail or "",
            network=finding.network,
            report=told,
            reproducer=reproducer,
            file=file,
            again=again,
            smallest=bool(smallest),
            reproducible=bool(reproducible),
            at=_time(at),
        )


def _known(db: sqlite3.Connection) -> Iterator[tuple[str, int, int, str]]:
    from jaccheck.defects.register import register

    shows = {defect.id: defect.shows for defect in register()}
    query = (
        "SELECT defect, count(*) AS networks, min(network) FROM known GROUP BY defect ORDER BY networks DESC, defect"
    )
    for name, networks, first in db.execute(query):
        yield name, networks, first, shows.get(name, "")
