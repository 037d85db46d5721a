"""A sweep as a figure: time, memory, how far the laws are off, and who is fastest where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from jaccheck.bench.sweep.fit import Fit
from jaccheck.bench.sweep.result import Point, Sweep

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#222222", "#bbbbbb")
"""Paul Tol's bright ones, which the colour-blind tell apart."""
MARKERS = "osD^v<>P"

Style = Mapping[str, tuple[str, str]]


def figure(sweep: Sweep) -> Figure:
    """Draw a point for each problem and path; a law is drawn at the middle N, C and depth."""
    names = dict.fromkeys(name for point in sweep.points for name in point.seconds)
    style = {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}
    drawn = Figure(figsize=(12, 9.5), layout="constrained")
    FigureCanvasAgg(drawn)
    ((time, memory), (off, fastest)) = drawn.subplots(2, 2)
    _cost(time, sweep, style, sweep.time, lambda point: point.seconds)
    time.set_ylabel("time, s")
    _cost(memory, sweep, style, sweep.memory, lambda point: point.bytes)
    memory.set_ylabel("peak memory, bytes")
    _residuals(off, sweep, style)
    _fastest(fastest, sweep, style)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="-", label=name)
        for name, (colour, marker) in style.items()
    ]
    drawn.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 8), fontsize=9)
    return drawn


def _cost(
    ax: Axes, sweep: Sweep, style: Style, laws: Mapping[str, Fit], cost: Callable[[Point], Mapping[str, float]]
) -> None:
    for name, (colour, marker) in style.items():
        seen = [(point.N * point.C * point.P, cost(point)[name]) for point in sweep.points if cost(point).get(name)]
        ax.plot(*zip(*seen, strict=True), marker, color=colour, markersize=3, alpha=0.45, markeredgewidth=0)
        if name in laws:
            line = list(_along(sweep, laws[name], max(size for size, _ in seen)))
            ax.plot([size for size, _ in line], [value for _, value in line], color=colour, linewidth=1.6)
    _logarithmic(ax)
    ax.set_xlabel("entries of the Jacobian, N C P (lines: the law at the middle N, C and depth)")


def _along(sweep: Sweep, law: Fit, high: int) -> Iterator[tuple[float, float]]:
    """From one parameter, with which the middle problem has N C entries, to `high` entries."""
    middle = {name: _median(point.sizes[name] for point in sweep.points) for name in ("N", "C", "depth")}
    low = middle["N"] * middle["C"]
    for i in range(50 if low < high else 0):
        P = (high / low) ** (i / 49)
        yield low * P, law({**middle, "P": P})


def _residuals(ax: Axes, sweep: Sweep, style: Style) -> None:
    for name, law in sweep.time.items():
        seen = [
            (point.N * point.C * point.P, point.seconds[name] / law(point.sizes))
            for point in sweep.points
            if name in point.seconds
        ]
        colour, marker = style[name]
        ax.plot(*zip(*seen, strict=True), marker, color=colour, markersize=3, alpha=0.6, markeredgewidth=0)
    ax.axhline(1, color="black", linewidth=0.8)
    _logarithmic(ax)
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # 0.5, not 5 × 10^-1
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("entries of the Jacobian, N C P")
    ax.set_ylabel("residual: measured time / the law's")


def _fastest(ax: Axes, sweep: Sweep, style: Style) -> None:
    for name, (colour, marker) in style.items():
        for sure in (False, True):
            won = [
                (point.P, point.N * point.C) for point in sweep.points if (point.fastest, point.sure) == (name, sure)
            ]
            if won:
                face = colour if sure else "none"
                ax.plot(*zip(*won, strict=True), marker, color=colour, markerfacecolor=face, markersize=6, alpha=0.8)
    _logarithmic(ax)
    ax.set_xlabel("parameters, P")
    ax.set_ylabel("entries of the output, N C")
    ax.set_title("the fastest correct path (filled: surely)", fontsize=10)


def _logarithmic(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(linewidth=0.4, alpha=0.6)


def _median(values: Iterator[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
