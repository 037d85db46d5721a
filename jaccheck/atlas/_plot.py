"""Surveys as a figure: error in ulps against the argument, a curve a path."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import ceil, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jaccheck._values import FORMATS
from jaccheck.atlas.numbers import between, count
from jaccheck.atlas.survey import ACCURATE, BINS, INACCURATE, Survey

MOST = 24
"""Panels; the most inaccurate are drawn."""
COLUMNS = 4
WIDTH = 7.0  # inches, at least
LETTERS = 12  # to an inch of title or legend, at most
HANDLE = 0.7  # inches that a legend's line takes, with the room about it
LINEAR = 2.0**-6
"""Below this the arguments' axis is linear."""
LARGEST = 1e6  # ulps: more, and what isn't finite, is drawn as that


def figure(surveys: Sequence[Survey]) -> Figure:
    """Draw a panel for each survey, of all that there are, or of the `MOST` in which a path is farthest off."""
    shown = sorted(surveys, key=_worst, reverse=True)[:MOST] if len(surveys) > MOST else list(surveys)
    columns = min(COLUMNS, len(shown))
    height = ceil(len(shown) / columns)
    width = max(WIDTH, 4.2 * columns)
    drawn = Figure(figsize=(width, 1.4 + 2.9 * height), layout="constrained")
    FigureCanvasAgg(drawn)
    panels = np.atleast_1d(drawn.subplots(height, columns)).flatten()
    for ax, one in zip(panels, shown, strict=False):
        _panel(ax, one)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    for i, ax in enumerate(panels[: len(shown)]):
        if i % columns == 0:
            ax.set_ylabel("error of φ′, ulps", fontsize=8)
        if i + columns >= len(shown):  # nothing is below
            ax.set_xlabel("argument", fontsize=8)
    handles = {line.get_label(): line for ax in panels[: len(shown)] for line in ax.get_lines() if _named(line)}
    fit = int(width / (HANDLE + max((len(name) for name in handles), default=0) / LETTERS))
    drawn.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=max(1, min(fit, len(handles))))
    limits = f"{ACCURATE:g} and {INACCURATE:g} ulps"
    left_out = f"; the {len(shown)} least accurate of {len(surveys)}" if len(shown) < len(surveys) else ""
    said = f"error of φ′ in ulps of the correctly rounded derivative, against the argument; dotted: {limits}{left_out}"
    drawn.suptitle(textwrap.fill(said, int(width * LETTERS)), fontsize=10)
    return drawn


def _named(line: object) -> bool:
    return not str(line.get_label()).startswith("_")  # type: ignore[attr-defined]


def _worst(one: Survey) -> float:
    return max((course.worst for course in one.courses.values()), default=0.0)


def _panel(ax: Axes, one: Survey) -> None:
    form = FORMATS[one.dtype]
    total = count(form)
    middle = [between(form, k, k + 1).item() for k in (total * (2 * i + 1) // (2 * BINS) for i in range(BINS))]
    for i, course in enumerate(one.courses.values()):
        if course.unsupported is None:
            curve = course.curve.clamp(max=LARGEST).numpy()
            width = 2.4 - 1.6 * i / max(1, len(one.courses) - 1)  # one behind another, where they agree
            ax.plot(middle, curve, label=course.path, color=f"C{i}", linewidth=width)
    ax.set_xscale("symlog", linthresh=LINEAR, linscale=0.5)
    ax.set_yscale("symlog", linthresh=1.0, linscale=0.5)
    ax.set_ylim(-0.1, min(4 * LARGEST, max(2 * INACCURATE, 2 * _worst(one))))
    if _worst(one) >= LARGEST:
        _cut(ax)
    for limit in (ACCURATE, INACCURATE):
        ax.axhline(limit, color="0.6", linewidth=0.7, linestyle=":")
    reach = _reach(one, middle)
    ax.set_xlim(-reach, reach)
    powers = [10.0**k for k in range(-1 if reach < 1e3 else 1, 40) if 10.0**k <= reach]
    step = ceil(len(powers) / 4)
    ends = powers[step - 1 :: step]  # the first is far enough from 0
    ax.set_xticks([*(-end for end in reversed(ends)), 0.0, *ends])
    ax.minorticks_off()
    ax.tick_params(labelsize=7)
    ax.set_title(f"{one.name}, {one.dtype}", fontsize=9)


def _cut(ax: Axes) -> None:
    """Say that what is at the top may lie above it."""
    powers = range(round(log10(LARGEST)))
    top = f"∞ or ≥ {_power(len(powers))}"
    ax.set_yticks([0.0, *(10.0**k for k in powers), LARGEST], ["0", *map(_power, powers), top])
    ax.axhline(LARGEST, color="0.6", linewidth=0.7)


def _power(k: int) -> str:
    return f"$10^{{{k}}}$"


def _reach(one: Survey, middle: Sequence[float]) -> float:
    """As far as anything is to be seen."""
    off = [abs(t) for i, t in enumerate(middle) if any(float(course.curve[i]) for course in one.courses.values())]
    return 2 * max(8.0, *off) if off else 16.0
