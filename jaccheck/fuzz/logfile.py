"""A log's file: opened only if it is one, and otherwise left as it is, with one line that says what is wrong."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from jaccheck._errors import InvalidProblem

APPLICATION = 0x6A616363
"""SQLite's application_id of a log: "jacc"."""
VERSION = 1
"""Of the schema in schema.sql, which is SQLite's user_version."""
PATIENCE = 5.0
"""Seconds to wait for another program that writes into the log."""


class LogFailure(InvalidProblem):
    """The log can't be read or written any more."""


def verify(file: Path) -> None:
    """Look at the first 100 bytes, which SQLite's file format describes, without opening the database.

    Raises:
        LogFailure: it is missing, no log, cut off, or of a newer jaccheck.
    """
    with spoken(file):
        if not stat.S_ISREG(file.stat().st_mode):
            raise LogFailure(f"{file} is no file")
        with file.open("rb") as log:
            head = log.read(100)
        size = file.stat().st_size
    if not head:
        raise LogFailure(f"{file} is empty, and no log")
    if head[:16] != b"SQLite format 3\0"[: len(head)]:
        raise LogFailure(f"{file} is no log: it isn't SQLite")
    if len(head) < 100:
        raise LogFailure(f"{file} is cut off after {len(head)} bytes")
    if _number(head, 68) != APPLICATION:
        raise LogFailure(f"{file} is an SQLite database, but no log of jaccheck")
    if _number(head, 60) > VERSION:
        raise LogFailure(
            f"{file} has version {_number(head, 60)}, but this jaccheck reads logs up to version {VERSION}; "
            "use a newer one"
        )
    page = int.from_bytes(head[16:18], "big")
    whole = (65536 if page == 1 else page) * _number(head, 28)
    if size < whole and not _with_suffix(file, "-wal").exists():
        raise LogFailure(f"{file} is cut off: it has {size:,} of its {whole:,} bytes")


def _number(head: bytes, offset: int) -> int:
    return int.from_bytes(head[offset : offset + 4], "big")


def _with_suffix(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def reading(file: Path) -> sqlite3.Connection:
    """A connection that only reads; a campaign may be writing at the same time.

    Raises:
        LogFailure: as `verify`, or the database is damaged.
    """
    verify(file)
    with spoken(file):
        connection = _looking(file)
        try:
            connection.execute("SELECT count(*) FROM meta").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def _looking(file: Path) -> sqlite3.Connection:
    """Under SQLite's locks, since a campaign may begin to write at any time, and without leaving a file behind.

    A connection that may write takes a -wal file that it had to make away again; one that may not leaves it there.
    """
    if _with_suffix(file, "-wal").exists():
        return _connection(file, "mode=ro")
    connection = _connection(file, "mode=rw")
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:  # in a folder that can't be written to
        connection.close()
        return _connection(file, "immutable=1")
    return connection


def writing(file: Path) -> sqlite3.Connection:
    """A connection to a log that is there, to go on with it.

    Raises:
        LogFailure: as `verify`, or it is damaged, or another program is writing into it.
    """
    verify(file)
    with spoken(file):
        looking = _looking(file)
        try:
            (said,) = looking.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            looking.close()
        if said != "ok":
            raise LogFailure(f"{file} is damaged: {said}")
        connection = _connection(file, "mode=rw")
        try:
            _safe(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def created(file: Path, schema: str, first: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """A new log with `schema` and what `first` writes: all of it or no log.

    Raises:
        LogFailure: there is something already, or it can't be written.
    """
    with spoken(file):
        if file.exists() and (not file.is_file() or file.stat().st_size):
            raise LogFailure(f"{file} is there already; go on with a log by --resume, or name another file")
        connection = _connection(file, "mode=rwc")
        try:
            connection.executescript(
                f"PRAGMA page_size = 4096; BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; "
                f"PRAGMA user_version = {VERSION};\n{schema}"
            )
            first(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
            _safe(connection)
        except BaseException:
            connection.close()
            if file.stat().st_size == 0:
                file.unlink()
            raise
    return connection


def _connection(file: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(os.fspath(file.absolute()))}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)


def _safe(connection: sqlite3.Connection) -> None:
    """A transaction that has been committed survives the loss of power."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 1000")


@contextmanager
def spoken(file: Path) -> Iterator[None]:
    """What SQLite and the system say of `file`, as a LogFailure of one line."""
    try:
        yield
    except InvalidProblem:
        raise
    except FileNotFoundError as error:
        raise LogFailure(f"there is no log {file}") from error
    except OSError as error:
        raise LogFailure(f"can't open {file}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:  # of what should be in it
        raise LogFailure(f"{file} is damaged: {type(error).__name__}: {error}") from error
    except sqlite3.Error as error:
        said = str(error)
        if "locked" in said:
            raise LogFailure(f"{file} is locked: another program is writing into it") from error
        if "full" in said or "disk I/O" in said:
            raise LogFailure(f"can't write into {file}: {said}") from error
        if "malformed" in said or "not a database" in said:
            raise LogFailure(f"{file} is damaged: {said}") from error
        raise LogFailure(f"{file} can't be used as a log: {said}") from error
