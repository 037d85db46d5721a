"""The usual rules and the enclosure as a figure: false alarms against faults found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from jaccheck.selftest.tolerances import Tolerances


SIZE = 9  # points of a marker, on top; each one that it would hide is larger


def figure(found: Tolerances) -> Figure:
    """A point for each rule; the best is to the left, on top. Rules with the same record are rings around one point."""
    drawn = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(drawn)
    ax = drawn.subplots()
    points = [(100 * row.alarm_rate, 100 * row.score) for row in found.rows]
    for i, (row, (x, y)) in enumerate(zip(found.rows, points, strict=True)):
        size = SIZE + 5 * points[i + 1 :].count((x, y))
        ax.plot([x], [y], "o", markersize=size, label=row.rule, clip_on=False)
    ax.set_xlabel("false alarms, % of right results")
    ax.set_ylabel("faults found, %")
    ax.margins(y=0.1)
    ax.set_ylim(top=102)
    widest = max(1.0, *(1.05 * x for x, _ in points))
    ax.set_xlim(-0.08 * widest, widest)
    ax.grid(linewidth=0.4)
    legend = ax.legend(fontsize=9, loc="best")
    for handle in legend.legend_handles:
        if isinstance(handle, Line2D):
            handle.set_markersize(SIZE)
    first = found.rows[0]
    ax.set_title(f"{found.networks} networks, {first.comparisons} results, {first.faults} faults", fontsize=10)
    return drawn
