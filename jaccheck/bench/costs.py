"""What a benchmark measured: frozen plain data, as text and as JSON. Nothing is measured here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from jaccheck._needs import needs
from jaccheck._report import ForwardFinding, ProblemFacts, _plain
from jaccheck._text import aligned
from jaccheck.bench.timing import Interval

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

FORMAT = 1
WRONG = ("disagrees", "raised")
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


@dataclass(frozen=True)
class Cost:
    """What one path costs, if it could be measured, and whether it is right."""

    path: str
    status: str
    """"agrees", "disagrees", "unsupported", "vacuous" as in a check; "raised", "out of memory"; or "unchecked", where
    the check itself ran out of memory."""
    reason: str | None = None
    """In words, one or more lines: what is wrong, what was raised, why nothing is known."""
    seconds: Interval | None = None
    ratio: Interval | None = None
    """Of its seconds to those of the benchmark's `base` in the same round."""
    peak_bytes: int | None = None
    """The most that torch and Python held at a time during a call (the sum of two high-water marks)."""
    python_bytes: int | None = None
    """Python's part of it."""

    @property
    def correct(self) -> bool:
        """Whether a check has proved it."""
        return self.status == "agrees"


@dataclass(frozen=True)
class Fastest:
    """The correct path with the smallest median."""

    path: str
    runner_up: str | None = None
    """The next correct path; None: it is the only one."""
    ratio: Interval | None = None
    """Of its seconds to the runner-up's in the same round."""
    sure: bool = False
    """Whether the interval of the ratio lies below 1."""


@dataclass(frozen=True)
class Benchmark:
    """What each path costs on one problem. `str(benchmark)` is a table, `benchmark.to_json()` for a program."""

    costs: Mapping[str, Cost]
    problem: ProblemFacts
    base: str | None
    """The path to which ratios are taken: the first that could be measured."""
    fastest: Fastest | None
    """Among the correct ones; None: no path has been proved correct."""
    jacobian_bytes: int
    write_seconds: Interval | None
    """The machine's limit: the time of writing so many bytes once."""
    rounds: int
    clock: str
    forward: ForwardFinding | None = None
    """The model's own output is wrong, and so is whatever follows from it."""

    @property
    def ok(self) -> bool:
        """False iff a path is wrong or raises, or the model's own output is wrong."""
        return self.forward is None and all(cost.status not in WRONG for cost in self.costs.values())

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def to_json(self, *, indent: int | None = None) -> str:
        """This benchmark as strict JSON (RFC 8259); a number that is not finite is a string, as in a report's."""
        return json.dumps(self.data(), allow_nan=False, indent=indent, ensure_ascii=False)

    def data(self) -> dict[str, Any]:
        """What `to_json` writes, as dicts, lists, strings and numbers."""
        return {"format": FORMAT, "ok": self.ok, **_plain(self)}

    def plot(self, file: str | os.PathLike[str] | None = None) -> Figure:
        """Draw seconds and peak bytes of each path that could be measured.

        Args:
            file: where to save it; the suffix says in which format (.png, .pdf, .svg).
        Raises:
            ImportError: matplotlib isn't there.
            InvalidProblem: no path could be measured, or `file` has a suffix that matplotlib can't write.
            OSError: `file` can't be written.
        """
        with needs("plot()"):
            from jaccheck._plot import saved
            from jaccheck.bench._plot import figure
        return saved(figure(self), file)


def size(count: float) -> str:
    """A number of bytes, as ``175 MB``."""
    return scaled(count, SIZES)


def table(costs: Collection[Cost], clock: str, base: str | None) -> Iterator[str]:
    """A line a path, and below them what there is to say in words."""
    heads = ("path", clock, "" if base is None else f"ratio to {base}", "peak", "check")
    yield from aligned([heads, *(_row(cost) for cost in costs)])
    for cost in costs:
        for line in (cost.reason or "").splitlines():
            yield f"  {cost.path}: {line}"


def _lines(benchmark: Benchmark) -> Iterator[str]:
    facts = benchmark.problem
    once = benchmark.write_seconds
    limit = f", written once in {scaled(once.median, UNITS)}" if once else ""
    P = sum(prod(shape) for shape in facts.parameters.values())
    yield (
        f"Jacobian [N C, P] = [{facts.N}·{facts.C}, {P}], {facts.dtype} on {facts.device}: "
        f"{size(benchmark.jacobian_bytes)}{limit}"
    )
    yield from table(benchmark.costs.values(), benchmark.clock, benchmark.base)
    if benchmark.forward is not None:
        yield f"  the model's own output is wrong, from layer {benchmark.forward.layer!r} on; see jaccheck.check"
    yield _named(benchmark)
    if benchmark.rounds:
        confidence = next(cost.ratio.confidence for cost in benchmark.costs.values() if cost.ratio is not None)
        yield (
            f"Medians of {benchmark.rounds} round{'s' * (benchmark.rounds > 1)} "
            f"[{confidence:.0%} interval of the noise within this run]."
        ).replace("%", " %")


def _named(benchmark: Benchmark) -> str:
    first = benchmark.fastest
    if first is None:
        return "No path could be measured and proved correct, so none is named the fastest."
    if first.ratio is None:
        return f"Fastest correct path: {first.path}, the only one."
    how = "surely" if first.sure else "not surely"
    return f"Fastest correct path: {first.path}, {how}: {_ratio(first.ratio)} times {first.runner_up}."


def _row(cost: Cost) -> tuple[str, str, str, str, str]:
    seconds = "" if cost.seconds is None else _time(cost.seconds)
    ratio = "" if cost.ratio is None else _ratio(cost.ratio)
    peak = "" if cost.peak_bytes is None else size(cost.peak_bytes)
    return cost.path, seconds, ratio, peak, "WRONG: " + cost.status if cost.status in WRONG else cost.status


def _time(seconds: Interval) -> str:
    factor, unit = _unit(seconds.median, UNITS)
    low, high = (_digits(value / factor) for value in (seconds.low, seconds.high))
    return f"{_digits(seconds.median / factor)} [{low}, {high}] {unit}"


def _ratio(ratio: Interval) -> str:
    if ratio.low == ratio.high == 1:
        return "1"
    return f"{_digits(ratio.median)} [{_digits(ratio.low)}, {_digits(ratio.high)}]"


def scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """A number of the largest of `units` that it has one of."""
    factor, unit = _unit(value, units)
    return f"{_digits(value / factor)} {unit}"


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    return next((unit for unit in units if value >= unit[0]), units[-1])


def _digits(value: float) -> str:
    """Three significant ones, and no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"
