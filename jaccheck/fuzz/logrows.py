"""Networks as rows of a log, and the totals that go with them."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaccheck._finding import Failure
from jaccheck.fuzz.checking import Row
from jaccheck.fuzz.features import named

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Entry:
    """A row, by whom and when (Unix time), and the findings that it showed again."""

    row: Row
    worker: int
    at: int
    again: tuple[Failure, ...] = ()


def write(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Write `entries` and add them to the totals, inside a transaction."""
    if not entries:
        return
    words = _words(db, entries)
    networks = [_network(entry, words) for entry in entries]
    verdicts = [verdict for entry in entries for verdict in _verdicts(entry.row, words)]
    db.executemany(f"INSERT INTO network VALUES ({_marks(14)})", networks)
    db.executemany(f"INSERT INTO verdict VALUES ({_marks(10)})", verdicts)
    db.executemany("INSERT INTO known VALUES (?, ?)", [(name, e.row.index) for e in entries for name in e.row.known])
    _add_totals(db, entries)
    count_again(db, (failure for entry in entries for failure in entry.again))


def count_again(db: sqlite3.Connection, failures: Iterable[Failure]) -> None:
    """These findings showed once more, as often as each is there."""
    db.executemany(
        "UPDATE finding SET again = again + ? WHERE path = ? AND property = ? AND kind = ? AND shape = ?",
        [(times, *failure) for failure, times in Counter(failures).items()],
    )


def _words(db: sqlite3.Connection, entries: Sequence[Entry]) -> dict[str | None, int | None]:
    """The numbers of all words that `entries` need."""
    texts = {text for entry in entries for text in _texts(entry.row)}
    db.executemany("INSERT OR IGNORE INTO word (text) VALUES (?)", [(text,) for text in sorted(texts)])
    found: dict[str | None, int | None] = {None: None}
    found |= {text: db.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()[0] for text in texts}
    return found


def _texts(row: Row) -> Iterator[str]:
    yield from (row.outcome, row.dtype, row.device, " ".join(row.layers))
    if (law := _in_turn(row)) is not None:
        yield law
    for path in row.paths:
        yield from (path.path, path.status, path.property)
        if path.kind is not None:
            yield path.kind


def _in_turn(row: Row) -> str | None:
    """The property that was asked by itself."""
    return next((asked.properties[0] for asked in row.asked[-1:] if len(asked.properties) == 1), None)


def _network(entry: Entry, words: dict[str | None, int | None]) -> Key:
    row = entry.row
    return (
        row.index,
        entry.at,
        entry.worker,
        words[row.outcome],
        words[row.dtype],
        words[row.device],
        row.N,
        row.C,
        row.depth,
        row.parameters,
        words[" ".join(row.layers)],
        row.features,
        words[_in_turn(row)],
        _micro(row.seconds),
    )


def _verdicts(row: Row, words: dict[str | None, int | None]) -> Iterator[Key]:
    for path in row.paths:
        yield (
            row.index,
            words[path.path],
            words[path.status],
            words[path.property],
            words[path.kind],
            path.ratio,
            path.sharpness,
            None if path.seconds is None else _micro(path.seconds),
            path.elements,
            path.vacuous,
        )


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)


class _Totals:
    """For each table and key the sums of what is added."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Key, list[float]]] = defaultdict(dict)

    def add(self, table: str, key: Key, *amounts: float) -> None:
        sums = self.tables[table].setdefault(key, [0] * len(amounts))
        for i, amount in enumerate(amounts):
            sums[i] += amount


AMOUNTS = {
    "path_total": ("networks", "elements", "vacuous"),
    "property_total": ("networks",),
    "layer_total": ("networks",),
    "cost": ("networks", "microseconds"),
    "sharpness": ("networks",),
    "spent": ("seconds",),
    "refused": ("networks",),
    "minute": ("networks",),
}
"""The columns that grow, behind those of the key."""


def _add_totals(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    totals = _Totals()
    features: Counter[str] = Counter()
    for entry in entries:
        _count(entry, totals)
        features.update(named(entry.row.features, entry.row.dtype, entry.row.layers))
    for table, rows in totals.tables.items():
        amounts = AMOUNTS[table]
        changes = ", ".join(f"{name} = {name} + excluded.{name}" for name in amounts)
        width = len(next(iter(rows))) + len(amounts)
        db.executemany(
            f"INSERT INTO {table} VALUES ({_marks(width)}) ON CONFLICT DO UPDATE SET {changes}",
            [(*key, *sums) for key, sums in rows.items()],
        )
    db.executemany(
        "INSERT INTO feature VALUES (?, NULL, ?) ON CONFLICT DO UPDATE SET networks = networks + excluded.networks",
        list(features.items()),
    )


def _count(entry: Entry, totals: _Totals) -> None:
    row = entry.row
    totals.add("minute", (entry.at // 60,), 1)
    if row.refused is not None:
        totals.add("refused", (row.refused,), 1)
    for asked in row.asked:
        totals.add("spent", (asked.name,), asked.seconds)
        for name, law, status in asked.statuses:
            totals.add("property_total", (law, name, status), 1)
    for path in row.paths:
        totals.add("path_total", (path.path, path.status), 1, path.elements, path.vacuous)
        for layer in row.layers:
            totals.add("layer_total", (path.path, row.dtype, row.device, layer, path.status), 1)
        if path.seconds is not None and path.elements and path.status != "unsupported":
            size = path.elements.bit_length() - 1
            totals.add("cost", (path.path, row.dtype, row.device, size), 1, _micro(path.seconds))
        if path.sharpness:
            quarter = math.floor(4 * math.log2(path.sharpness))
            totals.add("sharpness", (path.path, row.dtype, quarter), 1)


def _marks(number: int) -> str:
    return ", ".join("?" * number)
