"""The usual rules and the enclosure as a figure: false alarms against faults found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from jaccheck.selftest.tolerances import Tolerances


def figure(found: Tolerances) -> Figure:
    """A point for each rule; the best is to the left, on top."""
    drawn = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(drawn)
    ax = drawn.subplots()
    for row in found.rows:
        ax.plot([100 * row.alarm_rate], [100 * row.score], "o", markersize=9, label=row.rule)
    ax.set_xlabel("false alarms, % of right results")
    ax.set_ylabel("faults found, %")
    ax.set_ylim(top=102)
    ax.set_xlim(left=-0.5)
    ax.grid(linewidth=0.4)
    ax.legend(fontsize=9, loc="best")
    first = found.rows[0]
    ax.set_title(f"{found.networks} networks, {first.comparisons} results, {first.faults} faults", fontsize=10)
    return drawn
