"""What a sweep has measured and fitted: frozen plain data, as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from jaccheck._check import versions
from jaccheck._needs import needs
from jaccheck._report import _plain
from jaccheck._text import aligned, several
from jaccheck.bench.costs import SIZES, UNITS, scaled
from jaccheck.bench.sweep.fit import FEATURES, FEWEST, Fit, fitted

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

FORMAT = 1
OUTPUTS = (8, 64)  # where the table of who is fastest is cut, N C
PARAMETERS = (100, 1000, 10_000)
FORWARD = 1000
"""The most parameters for which forward mode takes part: it takes a pass for each, seconds a call for thousands."""


@dataclass(frozen=True)
class Point:
    """One problem, and what each correct path took."""

    N: int
    C: int
    P: int
    depth: int
    seconds: Mapping[str, float]
    bytes: Mapping[str, int]
    fastest: str | None
    sure: bool
    wrong: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, float]:
        return {name: max(getattr(self, name), 1) for name in FEATURES}


@dataclass(frozen=True)
class Sweep:
    """The cost of each path over size. `str(sweep)` is a table, `sweep.to_json()` for a program."""

    points: tuple[Point, ...]
    time: Mapping[str, Fit]
    """Of each path that was measured often enough, in seconds."""
    memory: Mapping[str, Fit]
    """In bytes, at most at a time."""
    seed: int
    dtype: str
    device: str
    interrupted: bool
    versions: Mapping[str, str]
    forward: tuple[str, ...] = ()
    """Paths that go forward, and weren't tried on problems with more than `FORWARD` parameters."""

    @classmethod
    def of(
        cls,
        points: Sequence[Point],
        *,
        seed: int,
        dtype: str,
        device: str,
        interrupted: bool,
        forward: tuple[str, ...] = (),
    ) -> Sweep:
        names = dict.fromkeys(name for point in points for name in point.seconds)
        laws: dict[str, dict[str, Fit]] = {"seconds": {}, "bytes": {}}
        for what, law in laws.items():
            for name in names:
                seen = [point for point in points if getattr(point, what).get(name)]
                found = fitted([point.sizes for point in seen], [getattr(point, what)[name] for point in seen])
                if found is not None:
                    law[name] = found
        facts = (seed, dtype, device, interrupted, versions(), forward)
        return cls(tuple(points), laws["seconds"], laws["bytes"], *facts)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def to_json(self, *, indent: int | None = None) -> str:
        """As strict JSON (RFC 8259)."""
        return json.dumps(self.data(), allow_nan=False, indent=indent, ensure_ascii=False)

    def data(self) -> dict[str, Any]:
        """What `to_json` writes, as dicts, lists, strings and numbers."""
        return {"format": FORMAT, **_plain(self), "cells": [list(cell) for cell in cells(self)]}

    def plot(self, file: str | os.PathLike[str] | None = None) -> Figure:
        """Draw time, memory, residuals, and who is fastest where.

        Args:
            file: where to save it; the suffix says in which format (.png, .pdf, .svg).
        Raises:
            ImportError: matplotlib isn't there.
            InvalidProblem: `file` has a suffix that matplotlib can't write.
            OSError: `file` can't be written.
        """
        with needs("plot()"):
            from jaccheck._plot import saved
            from jaccheck.bench.sweep._plot import figure
        return saved(figure(self), file)


def cells(sweep: Sweep) -> Iterator[tuple[int, int, str, int, int]]:
    """Of the problems of a cell, by N C and by P: the path that is fastest most often, how often, and of how many."""
    for row in range(len(OUTPUTS) + 1):
        for column in range(len(PARAMETERS) + 1):
            won = Counter(
                point.fastest
                for point in sweep.points
                if point.fastest is not None
                and _bin(point.N * point.C, OUTPUTS) == row
                and _bin(point.P, PARAMETERS) == column
            )
            if won:
                name, times = won.most_common(1)[0]
                yield row, column, name, times, won.total()


def _bin(value: int, cuts: Sequence[int]) -> int:
    return sum(value >= cut for cut in cuts)


def _lines(sweep: Sweep) -> Iterator[str]:
    spans = (
        f"{name} {min(values):,} to {max(values):,}"
        for name in FEATURES
        for values in [[getattr(point, name) for point in sweep.points]]
    )
    stopped = ", interrupted" if sweep.interrupted else ""
    yield f"{several(len(sweep.points), 'problem')}{stopped}, --seed {sweep.seed}, {sweep.dtype} on {sweep.device}"
    yield ", ".join(spans)
    yield ", ".join(f"{name} {number}" for name, number in sweep.versions.items())
    for what, laws, units in (("time", sweep.time, UNITS), ("memory", sweep.memory, SIZES)):
        yield f"\n{what} = factor · N^a · C^b · P^c · depth^d, least squares of the logarithms"
        heads = ("path", "factor", *FEATURES, "typically off by", "at most", "problems")
        yield from aligned([heads, *(_law(name, law, units) for name, law in laws.items())] if laws else [])
        yield from _lawless(sweep, laws)
    if sweep.forward:
        names, least = " and ".join(sweep.forward), f"{FORWARD:,}"
        yield f"\nA pass for each parameter: {names}, which therefore had no problem with more than {least} of them"
    yield "\nFastest correct path, and how often by the intervals of its ratio to the next one:"
    won = Counter(point.fastest for point in sweep.points if point.fastest)
    surely = Counter(point.fastest for point in sweep.points if point.fastest and point.sure)
    total = won.total()
    yield from aligned([(name, f"{n} of {total}", f"{surely[name]} surely") for name, n in won.most_common()])
    yield "\nWhere: the path that is fastest most often, and in which share of the problems there"
    yield from aligned(list(_map(sweep)))
    wrong = Counter(name for point in sweep.points for name in point.wrong)
    for name, number in wrong.items():
        on = f"{several(number, 'problem')}, which {'is' if number == 1 else 'are'} left out"
        yield f"{name} was wrong or raised on {on}; see jaccheck fuzz --path {name}"


def _lawless(sweep: Sweep, laws: Mapping[str, Fit]) -> Iterator[str]:
    """Why a path that was measured has no law."""
    for name, number in Counter(name for point in sweep.points for name in point.seconds).items():
        if name not in laws:
            reason = "too few" if number < FEWEST else "but their sizes go together"
            yield f"  {name}: no law; {several(number, 'problem')}, {reason}"


def _law(name: str, law: Fit, units: tuple[tuple[float, str], ...]) -> tuple[str, ...]:
    powers = (f"{law.exponents[size]:.2f} ± {law.errors[size]:.2f}" for size in FEATURES)
    return name, scaled(law.factor, units), *powers, f"×/÷ {law.residual:.2f}", f"×/÷ {law.worst:.1f}", str(law.count)


def _map(sweep: Sweep) -> Iterator[tuple[str, ...]]:
    yield ("N C", *(f"P {span}" for span in _spans(PARAMETERS)))
    found = {(row, column): f"{name} {times / of:.0%}" for row, column, name, times, of in cells(sweep)}
    for row, span in enumerate(_spans(OUTPUTS)):
        yield (span, *(found.get((row, column), "") for column in range(len(PARAMETERS) + 1)))


def _spans(cuts: Sequence[int]) -> list[str]:
    between = [f"{low:,} to {high - 1:,}" for low, high in pairwise(cuts)]
    return [f"below {cuts[0]:,}", *between, f"from {cuts[-1]:,}"]
