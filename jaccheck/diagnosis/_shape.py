"""What a diagnosis says, and the helpers that the shapes share."""

from __future__ import annotations

from typing import NamedTuple

AXES = ("samples", "classes", "units", "inputs")


class Likeness(NamedTuple):
    """What an error looks like."""

    shape: str
    """One of a few words, the same for the same kind of fault: "factor", "transposed axes", …"""
    words: str
    """With its numbers and places."""


FAMILIES = {
    "scaled": ("sign", "factor", "sum and mean"),
    "moved": ("transposed axes", *(f"{how} {what}" for how in ("permuted", "wrong") for what in AXES)),
    "lost": ("zero", "flush to zero", "lower precision", "inaccurate"),
    "not finite": ("NaN where finite", "infinite where finite", "finite where NaN"),
    "accumulates": ("accumulates over calls",),
}
"""Shapes that one fault may have on different networks: 1/N is 1/2 on two samples, a swap of two a permutation."""


def family(shape: str | None) -> str:
    """That of a shape, "" where there is none, or only a place."""
    return next((name for name, shapes in FAMILIES.items() if shape in shapes), "")


def counted(number: int, total: int) -> str:
    """``3 of 24 elements``"""
    return f"{number} of {total} element{'' if total == 1 else 's'}"


def listed(parameters: list[str]) -> str:
    """``'0.weight', '0.bias', '2.weight' and 1 more``"""
    return ", ".join(map(repr, parameters[:3])) + (f" and {len(parameters) - 3} more" if len(parameters) > 3 else "")
