"""All rows of a log as CSV: one for each path on each network."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path
from typing import TextIO

from jaccheck.fuzz.logfile import reading, spoken

_QUERY = """
SELECT n.id AS network, n.at, n.worker, n.outcome, n.dtype, n.device, n.N, n.C, n.depth, n.parameters, n.layers,
    n.features, n.microseconds AS network_microseconds, v.path, v.status, v.property, v.kind, v.ratio, v.sharpness,
    v.microseconds AS path_microseconds, v.elements, v.vacuous
FROM networks n LEFT JOIN verdicts v ON v.network = n.id ORDER BY n.id, v.path
"""
"""A network that was refused, or on which jaccheck failed, has a row without a path."""


def write_rows(log: Path, out: TextIO) -> int:
    """Write the rows of `log` to `out`, features by their names; how many there are.

    Raises:
        LogFailure: the log can't be read, or is none.
        OSError: `out` can't be written.
    """
    db = reading(log)
    try:
        with spoken(log):
            names = db.execute("SELECT name, bit FROM feature WHERE bit IS NOT NULL ORDER BY bit").fetchall()
            db.row_factory = sqlite3.Row
            cursor = db.execute(_QUERY)
        columns = [column[0] for column in cursor.description]
        place = columns.index("features")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        written = 0
        while True:
            with spoken(log):
                rows = cursor.fetchmany(1000)
            if not rows:
                return written
            for row in rows:
                cells = list(row)
                cells[place] = "; ".join(name for name, bit in names if cells[place] >> bit & 1)
                writer.writerow(cells)
                written += 1
    finally:
        db.close()
