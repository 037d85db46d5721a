"""What a log says: the counts of a campaign, and what of it is left to do."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaccheck._finding import Finding
from jaccheck._report import Report
from jaccheck.fuzz.logfile import reading, spoken
from jaccheck.fuzz.plan import ROUND, Plan, Slice
from jaccheck.fuzz.summary import Summary


def counts(file: Path) -> dict[str, Any]:
    """The log's counts, for JSON.

    Raises:
        LogFailure: it can't be read, or is no log.
    """
    db = reading(file)
    with spoken(file):
        try:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            (networks,) = db.execute("SELECT coalesce(sum(networks), 0) FROM minute").fetchone()
            verdicts = _nested(db, "SELECT path, status, networks FROM path_total")
            findings = db.execute(
                "SELECT smallest, reproducible, again, file, json FROM finding ORDER BY id"
            ).fetchall()
            events = dict(db.execute("SELECT what, count(*) FROM event GROUP BY what"))
            return {
                "format": 1,
                "ok": not findings,
                "seed": json.loads(meta["plan"])["seed"],
                "stopped": meta.get("stopped"),
                "seconds": float(meta["elapsed"]),
                "networks": networks,
                "checks": sum(sum(statuses.values()) for statuses in verdicts.values()),
                "verdicts": verdicts,
                "properties": _nested(
                    db, "SELECT property, status, sum(networks) FROM property_total GROUP BY property, status"
                ),
                "outcomes": dict(
                    db.execute("SELECT w.text, count(*) FROM network n JOIN word w ON w.id = n.outcome GROUP BY w.text")
                ),
                "known": dict(db.execute("SELECT defect, count(*) FROM known GROUP BY defect")),
                "refused": dict(db.execute("SELECT reason, networks FROM refused")),
                "events": events,
                "findings": [
                    {
                        **json.loads(text),
                        "finished": bool(smallest),
                        "reproducible": bool(reproducible),
                        "again": again,
                        "file": saved,
                    }
                    for smallest, reproducible, again, saved, text in findings
                ],
                "plan": json.loads(meta["plan"]),
                "versions": json.loads(meta["versions"]),
                "machine": json.loads(meta["machine"]),
            }
        finally:
            db.close()


def _nested(db: sqlite3.Connection, query: str) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for row, column, number in db.execute(query):
        table.setdefault(row, {})[column] = number
    return table


def plan_of(db: sqlite3.Connection) -> Plan:
    """The plan of the campaign."""
    (text,) = db.execute("SELECT value FROM meta WHERE key = 'plan'").fetchone()
    return Plan.from_data(json.loads(text))


def summary_of(db: sqlite3.Connection, plan: Plan) -> Summary:
    """What the campaign has done so far."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    summary = Summary(plan, seconds=float(meta["elapsed"]))
    summary.replayed, summary.shrinking = int(meta.get("replayed", 0)), int(meta.get("shrinking", 0))
    (summary.networks,) = db.execute("SELECT coalesce(sum(networks), 0) FROM minute").fetchone()
    for path, status, networks, elements, vacuous in db.execute("SELECT * FROM path_total"):
        summary.verdicts.setdefault(path, Counter())[status] = networks
        summary.elements[path] += elements
        summary.vacuous[path] += vacuous
    for law, statuses in _nested(
        db, "SELECT property, status, sum(networks) FROM property_total GROUP BY property, status"
    ).items():
        summary.properties[law] = Counter(statuses)
    summary.known.update(dict(db.execute("SELECT defect, count(*) FROM known GROUP BY defect")))
    summary.refused.update(dict(db.execute("SELECT reason, networks FROM refused")))
    summary.features.update(dict(db.execute("SELECT name, networks FROM feature WHERE networks > 0")))
    summary.spent.update(dict(db.execute("SELECT what, seconds FROM spent")))
    for finding, _, again in findings_of(db):
        summary.findings.append(finding)
        if again:
            summary.again[finding.failure] = again
    return summary


def findings_of(db: sqlite3.Connection) -> list[tuple[Finding, int | None, int]]:
    """The findings, the numbers of the networks that showed them, and how often they were seen again."""
    found = []
    query = "SELECT json, report, detail, smallest, reproducible, network, again FROM finding ORDER BY id"
    for text, report, detail, smallest, reproducible, network, again in db.execute(query):
        finding = replace(
            Finding.from_json(text),
            report=None if report is None else Report.from_json(report),
            crash=detail,
            unfinished=not smallest,
            reproducible=bool(reproducible),
        )
        found.append((finding, network, again))
    return found


def left_of(db: sqlite3.Connection, plan: Plan) -> tuple[int, list[Slice]]:
    """How many rounds have been begun, and what of them has not been checked."""
    rounds = f"SELECT id / {ROUND} AS number, count(*) FROM network GROUP BY number"
    counted: dict[int, int] = dict(db.execute(rounds))
    begun = max(counted, default=-1) + 1
    left = []
    for number in range(begun):
        size = plan.round_size(number)
        if counted.get(number, 0) >= size:
            continue
        span = (number * ROUND, (number + 1) * ROUND)
        done = {index % ROUND for (index,) in db.execute("SELECT id FROM network WHERE id >= ? AND id < ?", span)}
        left += _gaps(number, size, done)
    return begun, left


def _gaps(number: int, size: int, done: set[int]) -> list[Slice]:
    """The places of a round that are not in `done`."""
    gaps, first = [], None
    for place in range(size + 1):
        open_ = place < size and place not in done
        if open_ and first is None:
            first = place
        elif not open_ and first is not None:
            gaps.append(Slice(number, size, first, place))
            first = None
    return gaps
