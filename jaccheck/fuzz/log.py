"""The log of a campaign, which only its controller writes; its tables are described in schema.sql."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

from jaccheck._check import versions
from jaccheck._finding import Failure, Finding
from jaccheck.fuzz.checking import Row
from jaccheck.fuzz.features import ALL, FEATURES
from jaccheck.fuzz.logfile import created, reading, spoken, writing
from jaccheck.fuzz.logread import plan_of
from jaccheck.fuzz.logrows import Entry, count_again, write
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.summary import Summary

EVERY = 0.4  # seconds between two commits


class Log:
    """Writes networks within half a second, and a finding or an event at once.

    Whatever it does raises `LogFailure` if it can't be written: it then holds what it held after the last commit.
    """

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self.file, self.db = file, connection
        self._entries: list[Entry] = []
        self._committed = time.monotonic()

    @classmethod
    def create(cls, file: Path, plan: Plan) -> Log:
        """A new log of `plan`."""
        schema = files("jaccheck.fuzz").joinpath("schema.sql").read_text(encoding="utf-8")
        bits = {name: bit for bit, name in enumerate(FEATURES)}

        def first(db: sqlite3.Connection) -> None:
            db.executemany("INSERT INTO feature VALUES (?, ?, 0)", [(name, bits.get(name)) for name in ALL])
            _note(
                db,
                plan=json.dumps(plan.data()),
                versions=json.dumps(dict(versions())),
                machine=json.dumps(_machine()),
                started=time.time(),
                elapsed=0.0,
            )
            _event(db, "started", None, None)

        return cls(file, created(file, schema, first))

    @classmethod
    def resume(cls, file: Path) -> Log:
        """The log of a campaign that has ended or was killed."""
        with closing(reading(file)) as db, spoken(file):
            plan_of(db)
        return cls(file, writing(file))

    @property
    def plan(self) -> Plan:
        """The plan of the campaign."""
        with spoken(self.file):
            return plan_of(self.db)

    @property
    def elapsed(self) -> float:
        """Seconds that the campaign has run."""
        with spoken(self.file):
            return float(self.db.execute("SELECT value FROM meta WHERE key = 'elapsed'").fetchone()[0])

    def again(self, plan: Plan) -> None:
        """The campaign goes on with `plan`, which may end elsewhere."""
        with self._transaction():
            _note(self.db, plan=json.dumps(plan.data()))
            self.db.execute("DELETE FROM meta WHERE key IN ('ended', 'stopped')")
            _event(self.db, "resumed", None, None)

    def add(self, row: Row, worker: int, again: Iterable[Failure] = ()) -> None:
        """A network that `worker` has checked, on which the findings `again` showed once more."""
        self._entries.append(Entry(row, worker, int(time.time()), tuple(again)))

    def event(self, what: str, worker: int | None = None, detail: str | None = None) -> None:
        """Something has happened to `worker`, or to the controller."""
        with self._transaction():
            _event(self.db, what, worker, detail)

    def finding(self, finding: Finding, worker: int, network: int | None, file: Path | None) -> None:
        """A finding, or the same on a smaller network."""
        first = {"at": time.time(), "worker": worker, **finding.failure._asdict(), "network": network}
        latest = {
            "json": finding.to_json(),
            "report": None if finding.report is None else finding.report.to_json(images=True),
            "detail": finding.crash,
            "smallest": not finding.unfinished,
            "reproducible": finding.reproducible,
            "file": None if file is None else os.fspath(file),
        }
        columns = ", ".join([*first, *latest])
        marks = ", ".join("?" * (len(first) + len(latest)))
        changes = ", ".join(f"{name} = excluded.{name}" for name in latest)
        sql = f"INSERT INTO finding ({columns}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {changes}"
        with self._transaction():
            self.db.execute(sql, [*first.values(), *latest.values()])

    def seen(self, again: Iterable[Failure]) -> None:
        """Findings showed once more, on a network without a row."""
        with self._transaction():
            count_again(self.db, again)

    def reproducer(self, failure: Failure, script: str) -> None:
        """The script that shows a finding."""
        with self._transaction():
            self.db.execute(
                "UPDATE finding SET reproducer = ? WHERE path = ? AND property = ? AND kind = ? AND shape = ?",
                (script, *failure),
            )

    def flush(self, summary: Summary) -> None:
        """Write what has been added, if it is time to."""
        if time.monotonic() - self._committed >= EVERY:
            with self._transaction():
                self._progress(summary)

    def close(self, summary: Summary) -> None:
        """The campaign has ended."""
        with self._transaction():
            self._progress(summary)
            _note(self.db, ended=time.time(), stopped=summary.stopped)
        with spoken(self.file):
            self.db.close()

    def _progress(self, summary: Summary) -> None:
        _note(self.db, elapsed=summary.seconds, replayed=summary.replayed, shrinking=summary.shrinking)
        if "shrinking" in summary.spent:
            self.db.execute(
                "INSERT INTO spent VALUES ('shrinking', ?) ON CONFLICT DO UPDATE SET seconds = excluded.seconds",
                (summary.spent["shrinking"],),
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """What has been added, and what is done inside: all of it or nothing."""
        with spoken(self.file):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                write(self.db, self._entries)
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        self._entries.clear()
        self._committed = time.monotonic()


def _note(db: sqlite3.Connection, **values: str | float) -> None:
    pairs = [(key, value if isinstance(value, str) else repr(value)) for key, value in values.items()]
    db.executemany("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", pairs)


def _event(db: sqlite3.Connection, what: str, worker: int | None, detail: str | None) -> None:
    db.execute("INSERT INTO event (at, worker, what, detail) VALUES (?, ?, ?, ?)", (time.time(), worker, what, detail))


def _machine() -> dict[str, str | int | None]:
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "host": platform.node(),
    }
