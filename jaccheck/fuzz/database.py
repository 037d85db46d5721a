"""Failures of earlier runs and of others, in Hypothesis's example database: a folder, or Redis for several machines."""

from __future__ import annotations

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from jaccheck._errors import InvalidProblem
from jaccheck.fuzz.finding import Finding

KEY = b"jaccheck findings"
"""Under which they are; each is the JSON of a finding, so that it holds whatever becomes of the strategies."""


class Database:
    """The findings in an example database, which others may write to at the same time."""

    def __init__(self, examples: ExampleDatabase) -> None:
        self._examples = examples

    def findings(self) -> dict[bytes, Finding]:
        """All that can be read here."""
        found = {}
        for value in self._examples.fetch(KEY):
            try:
                found[value] = Finding.from_json(value.decode())
            except (InvalidProblem, UnicodeDecodeError):  # of a newer release
                continue
        return dict(sorted(found.items()))

    def add(self, finding: Finding) -> bytes:
        value = finding.to_json().encode()
        self._examples.save(KEY, value)
        return value

    def remove(self, value: bytes) -> None:
        self._examples.delete(KEY, value)


def opened(address: str | None) -> Database | None:
    """The database at `address`, a folder or ``redis://…``."""
    if address is None:
        return None
    return Database(DirectoryBasedExampleDatabase(address))
