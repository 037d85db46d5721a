"""Many choices in one draw.

Hypothesis deletes at most five neighbouring draws at once when it shrinks, and each costs some 20 µs. So a block of a
network is one draw, of `BYTES` bytes, and any block can be dropped; Hypothesis lowers the bytes one by one. All draws
are of the same size, since Hypothesis also copies one draw over another: one that doesn't fit there becomes zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
BYTES = 14  # what a block takes


class Choices:
    """What bytes choose, the first entry of each table for zeros."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def pick(self, table: Sequence[T]) -> T:
        """An entry of `table`, each as likely (by one byte, by two if there are more than 256)."""
        index, of = next(self._bytes), 1 << 8
        if len(table) > of:
            index, of = index << 8 | next(self._bytes), of << 8
        return table[index * len(table) // of]

    def seed(self) -> int:
        """24 bits."""
        return next(self._bytes) << 16 | next(self._bytes) << 8 | next(self._bytes)
