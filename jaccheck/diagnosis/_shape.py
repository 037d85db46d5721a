"""What a diagnosis says, and the helpers that the shapes share."""

from __future__ import annotations

from typing import NamedTuple


class Likeness(NamedTuple):
    """What an error looks like."""

    shape: str
    """One of a few words, the same for the same kind of fault: "factor", "transposed axes", …"""
    words: str
    """With its numbers and places."""


def counted(number: int, total: int) -> str:
    """``3 of 24 elements``"""
    return f"{number} of {total} element{'' if total == 1 else 's'}"
