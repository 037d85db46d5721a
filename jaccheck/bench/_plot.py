"""A benchmark as a figure: seconds and peak bytes of each path, beside what no path can do without."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from jaccheck._errors import InvalidProblem
from jaccheck.bench.costs import WRONG, Benchmark, Cost, size

FEW = 10**2.5  # an axis from its one end to the other, on which 1, 2 and 5 have room


def figure(benchmark: Benchmark) -> Figure:
    """Draw a line a path: to the left its seconds with their interval, to the right its peak bytes.

    Raises:
        InvalidProblem: no path could be measured.
    """
    costs = {cost: cost.seconds for cost in benchmark.costs.values() if cost.seconds is not None}
    if not costs:
        raise InvalidProblem("no path could be measured, so that there is nothing to draw")
    drawn = Figure(figsize=(9, 1.8 + 0.35 * len(costs)), layout="constrained")
    FigureCanvasAgg(drawn)
    left, right = drawn.subplots(1, 2, sharey=True)
    for cost, seconds in costs.items():
        beyond = [[seconds.median - seconds.low], [seconds.high - seconds.median]]
        style = {"fmt": "o", "capsize": 3, "color": _colour(cost)}
        left.errorbar([seconds.median], [_label(cost)], xerr=beyond, **style)
        right.errorbar([cost.peak_bytes], [_label(cost)], **style)
    left.set_xlabel(f"{benchmark.clock}: median and 95 % interval")
    right.set_xlabel("peak memory")
    if benchmark.write_seconds is not None:
        _limit(left, benchmark.write_seconds.median, "the Jacobian written once")
    _limit(right, benchmark.jacobian_bytes, f"the Jacobian, {size(benchmark.jacobian_bytes)}")
    _read(left, "s")
    _read(right, "B")
    left.invert_yaxis()  # the first path on top
    facts = benchmark.problem
    drawn.suptitle(f"N={facts.N}, C={facts.C}, {facts.dtype} on {facts.device}", fontsize=10)
    return drawn


def _label(cost: Cost) -> str:
    return cost.path if cost.correct else f"{cost.path}\n({cost.status})"


def _colour(cost: Cost) -> str:
    return "firebrick" if cost.status in WRONG else "tab:blue" if cost.correct else "0.6"


def _limit(ax: Axes, value: float, what: str) -> None:
    ax.set_xscale("log")
    ax.grid(axis="y", linewidth=0.4)
    if value > 0:
        ax.axvline(value, color="black", linestyle=":")
        ax.set_title(f"dotted: {what}", fontsize=9)


def _read(ax: Axes, unit: str) -> None:
    """An axis of a decade at least, with numbers at its powers of ten, and between them where there are few."""
    low, high = ax.get_xlim()
    room = max(1.0, 10 * low / high) ** 0.5
    ax.set_xlim(low / room, high * room)
    few = high / low < FEW
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    ax.xaxis.set_major_formatter(EngFormatter(unit))
    ax.xaxis.set_minor_formatter(NullFormatter())
