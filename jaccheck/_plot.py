"""A report as a figure: each path's Jacobian, and where it leaves the enclosure."""

from __future__ import annotations

import math
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ._errors import InvalidProblem
from ._report import Image, ProblemFacts, Report, Verdict

PANEL = 3.0  # inches: the width of one path's pictures
LABEL = 0.13  # inches: what a parameter's name, written upwards, takes of it
TITLE = 40  # letters that fit above it
GREY = "0.72"
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


def figure(report: Report) -> Figure:
    """Draw `report.images`: a column a path, its Jacobian ``[N C, P]`` above, the share outside the enclosure below.

    Raises:
        InvalidProblem: there is nothing to draw.
    """
    if not report.images:
        raise InvalidProblem("this report holds no pictures; ask for them by jaccheck.check(…, images=True)")
    verdicts, facts = list(report.verdicts.values()), report.problem
    drawn = Figure(figsize=(PANEL * max(len(verdicts), 2) + 1.4, 6.6), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(2, len(verdicts), squeeze=False, sharex=True, sharey=True)
    jacobian, beyond = _jacobian_colours(report)
    share = ScalarMappable(Normalize(sys.float_info.min, 1), _share_colours())
    for verdict, above, below in zip(verdicts, *axes, strict=True):
        image = report.images.get(verdict.path)
        _title(above, verdict)
        for ax, mappable in ((above, jacobian), (below, share)):
            if image is None:
                _explain(ax, verdict, facts)
            else:
                _show(ax, image.values if ax is above else image.outside, image, mappable, facts)
        _name_parameters(below, facts)
    axes[0][0].set_ylabel(f"Jacobian\nrow n·C + c, N·C = {facts.N}·{facts.C}")
    axes[1][0].set_ylabel("outside the enclosure\nrow n·C + c")
    drawn.colorbar(jacobian, ax=axes[0].tolist(), label="∂f / ∂p", extend=beyond)
    bar = drawn.colorbar(share, ax=axes[1].tolist(), label="share of entries outside; white: none", extend="min")
    bar.set_ticks([sys.float_info.min, *SHARES], labels=["> 0", *map(str, SHARES)])
    drawn.suptitle(
        f"∂f[n, c] / ∂p, {facts.dtype} on {facts.device}. Grey: not finite (above), nothing is known (below).",
        fontsize=10,
    )
    return drawn


def saved(drawn: Figure, file: str | os.PathLike[str] | None) -> Figure:
    """The figure, written in the format of `file`'s suffix if there is one."""
    if file is not None:
        check_format(file)
        drawn.savefig(file, dpi=150)
    return drawn


def check_format(file: str | os.PathLike[str]) -> None:
    """Refuse a file whose suffix isn't that of a picture."""
    suffix = os.path.splitext(file)[1]
    if not suffix:
        raise InvalidProblem(f"can't draw into {os.fspath(file)!r}: its suffix should say the format, as in .png")
    formats = FigureCanvasAgg.get_supported_filetypes()
    if suffix[1:].lower() not in formats:
        said = f"Format {suffix[1:]!r} is not supported, but: {', '.join(sorted(formats))}"
        raise InvalidProblem(f"can't draw into {os.fspath(file)!r}: {said}")


def _jacobian_colours(report: Report) -> tuple[ScalarMappable, str]:
    """One scale for all paths, symmetric about 0, and whether some entries lie beyond it.

    A disagreeing path has no say in it while there is another one: an entry of 1e30 would bleach all the others.
    """
    sound = [image for path, image in report.images.items() if report.verdicts[path].status != "disagrees"]
    largest = _largest(sound) or _largest(report.images.values()) or 1.0
    beyond = "both" if _largest(report.images.values()) > largest else "neither"
    return ScalarMappable(Normalize(-largest, largest), _colours("RdBu_r")), beyond


def _largest(images: Iterable[Image]) -> float:
    values = (abs(value) for image in images for row in image.values for value in row)
    return max(filter(math.isfinite, values), default=0.0)


def _colours(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad=GREY)


def _share_colours() -> Colormap:
    """White where nothing is outside, and a red that shows where one entry of a cell's many is."""
    colours = LinearSegmentedColormap.from_list("share", colormaps["Reds"](np.linspace(0.4, 1, 256)))
    return colours.with_extremes(bad=GREY, under="white")


def _title(ax: Axes, verdict: Verdict) -> None:
    """The path and its verdict; what a property counts on other problems than this one isn't what is shown."""
    said = verdict.status if verdict.kind is None else f"{verdict.status} ({verdict.kind})"
    if verdict.status == "disagrees" and verdict.property != "enclosure":
        said = f"{verdict.property}: {said}\nshown: the problem itself"
    else:
        if verdict.outside:
            said += f", {verdict.outside} outside"
        if verdict.vacuous:
            said += f", {verdict.vacuous} vacuous"
    words = "\n".join(textwrap.fill(line, TITLE) for line in (verdict.path, *said.split("\n")))
    colour = "firebrick" if verdict.status == "disagrees" else "black"
    ax.set_title(words, fontsize=9, color=colour, parse_math=False)


def _show(
    ax: Axes, data: tuple[tuple[float, ...], ...], image: Image, mappable: ScalarMappable, facts: ProblemFacts
) -> None:
    cells = np.ma.masked_invalid(np.array(data, dtype=float))
    if cells.size:
        extent = (0, image.columns, image.rows, 0)
        shown = ax.imshow(cells, extent=extent, aspect="auto", interpolation="nearest")
        shown.set(cmap=mappable.get_cmap(), norm=mappable.norm)
    _grid(ax, facts)


def _explain(ax: Axes, verdict: Verdict, facts: ProblemFacts) -> None:
    """Words in place of a picture that a path doesn't have: as many as have room, of whatever an exception says."""
    words = textwrap.fill(verdict.reason or "no Jacobian", 32, max_lines=11, placeholder=" …")
    _grid(ax, facts)
    white = {"facecolor": "white", "linewidth": 0}
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", bbox=white, parse_math=False)


def _grid(ax: Axes, facts: ProblemFacts) -> None:
    """The frame ``[N C, P]`` with a line between parameters, and between samples where there are few."""
    rows, edges = facts.N * facts.C, _edges(facts.parameters)
    ax.set(xlim=(0, max(edges[-1], 1)), ylim=(max(rows, 1), 0))
    for edge in edges[1:-1]:
        ax.axvline(edge, color="black", linewidth=0.6)
    if facts.N <= 16:
        for n in range(1, facts.N):
            ax.axhline(n * facts.C, color="black", linewidth=0.2)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _edges(parameters: Mapping[str, tuple[int, ...]]) -> list[int]:
    edges = [0]
    for shape in parameters.values():
        edges.append(edges[-1] + math.prod(shape))
    return edges


def _name_parameters(ax: Axes, facts: ProblemFacts) -> None:
    """Write the parameters' names below their columns, the larger first, as long as there is room."""
    edges = _edges(facts.parameters)
    spans = zip(facts.parameters, edges, edges[1:], strict=False)
    room = LABEL / PANEL * edges[-1]
    ticks: dict[float, str] = {}
    for name, left, right in sorted(spans, key=lambda span: span[1] - span[2]):
        middle = (left + right) / 2
        if all(abs(middle - other) >= room for other in ticks):
            ticks[middle] = name
    ax.set_xticks(list(ticks), list(ticks.values()), rotation=90, fontsize=8)
