"""Failures of earlier runs and of others, in Hypothesis's example database: a folder, or Redis for several machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from jaccheck._errors import InvalidProblem
from jaccheck._finding import Finding

KEY = b"jaccheck findings"
"""Under which they are; each is the JSON of a finding, so that it holds whatever becomes of the strategies."""


class Database:
    """The findings in an example database, which others may write to at the same time.

    One that can't be reached any more is left alone; `trouble` says why.
    """

    def __init__(self, examples: ExampleDatabase, close: Callable[[], object] = lambda: None) -> None:
        self._examples, self._close = examples, close
        self.trouble: str | None = None

    def findings(self) -> dict[bytes, Finding]:
        """All that can be read here."""
        found = {}
        with self._while_it_lasts():
            for value in self._examples.fetch(KEY):
                with suppress(InvalidProblem, UnicodeDecodeError):  # of a newer release
                    found[value] = Finding.from_json(value.decode())
        return dict(sorted(found.items()))

    def add(self, finding: Finding) -> bytes:
        value = finding.to_json().encode()
        with self._while_it_lasts():
            self._examples.save(KEY, value)
        return value

    def remove(self, value: bytes) -> None:
        with self._while_it_lasts():
            self._examples.delete(KEY, value)

    def close(self) -> None:
        """End the connection; the next use makes a new one."""
        with self._while_it_lasts():
            self._close()

    @contextmanager
    def _while_it_lasts(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each client has its own
            self.trouble = f"{type(error).__name__}: {error}"


def opened(address: str | None) -> Database | None:
    """The database at `address`, a folder or ``redis://…``.

    Raises:
        InvalidProblem: there is no Redis server, or no client for it is installed.
    """
    if address is None:
        return None
    if "://" not in address:
        return Database(DirectoryBasedExampleDatabase(address))
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
        from redis.exceptions import RedisError
    except ImportError as error:
        raise InvalidProblem(f"{address} needs redis: pip install 'jaccheck[cluster]'") from error
    try:
        server = Redis.from_url(address, socket_connect_timeout=10, socket_timeout=10)
        server.ping()
    except (RedisError, ValueError) as error:
        raise InvalidProblem(f"can't reach {address}: {' '.join(str(error).split())}") from error
    return Database(RedisExampleDatabase(server), server.close)
