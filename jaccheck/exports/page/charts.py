"""The charts of a page as plotly's data, and each one's numbers as a table, for who reads rather than looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from jaccheck._report import COUNTED
from jaccheck.exports.content import Content

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c6d31")
"""Okabe and Ito's (2008), for whoever confuses colours, without black and yellow: light and dark pages show them."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
STATUS_COLOURS = {  # and a letter each, so that nothing is told by colour alone
    "agrees": ("#3a9d6e", "✓"),
    "unsupported": ("#9aa0a6", "–"),
    "vacuous": ("#b9a44c", "?"),
    "known": ("#e0882f", "k"),
    "disagrees": ("#c8372d", "✗"),
}
MOST_DECADES = 9  # of the axis of errors, as one sees it at first
WORST = ("agrees", "unsupported", "vacuous", "known", "disagrees")
"""From the best to the worst that can be said where networks differ."""


@dataclass(frozen=True)
class Chart:
    """One chart."""

    id: str
    title: str
    says: str
    """What there is to see, in a sentence."""
    figure: Any
    """Plotly's data and layout."""
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    height: int
    width: int = 0
    """Pixels below which it isn't squeezed, but scrolled."""


def charts(content: Content) -> list[Chart]:
    """Those for which the campaign has something to show."""
    makers: Sequence[Callable[[Content], Chart | None]] = (_verdicts, _sharpness, _costs, _features, _time, _rate)
    return [chart for make in makers if (chart := make(content)) is not None]


def _figure(height: int, **layout: Any) -> Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 20, "t": 10, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        template="none",
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        **layout,
    )
    figure.update_xaxes(automargin=True, zeroline=False)
    figure.update_yaxes(automargin=True, zeroline=False)
    return figure


def _chart(
    id: str,
    title: str,
    says: str,
    figure: Figure,
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    width: int = 0,
) -> Chart:
    return Chart(id, title, says, figure.to_plotly_json(), heads, list(rows), int(figure.layout.height), width)


def _verdicts(content: Content) -> Chart | None:
    """Path × dtype × layer: a column for each path in each dtype, a row for each kind of layer."""
    if not content.cells:
        return None
    from plotly.graph_objects import Heatmap

    paths = list(content.counts["plan"]["paths"])
    dtypes = [dtype for dtype in content.dtypes if any(cell.dtype == dtype for cell in content.cells)]
    layers = sorted({cell.layer for cell in content.cells}, reverse=True)
    found = {(cell.dtype, cell.path, cell.layer): cell.statuses for cell in content.cells}
    columns = [(dtype, path) for dtype in dtypes for path in paths]
    level, letters, words = [], [], []
    for layer in layers:
        statuses = [found.get((dtype, path, layer), {}) for dtype, path in columns]
        worst = [max((WORST.index(s) for s, n in of.items() if n), default=None) for of in statuses]
        level.append(worst)
        letters.append(["" if w is None else STATUS_COLOURS[WORST[w]][1] for w in worst])
        words.append([", ".join(f"{n:,} {s}" for s, n in of.items()) or "not drawn" for of in statuses])
    steps = [(i / len(WORST), STATUS_COLOURS[s][0]) for i, s in enumerate(WORST) for i in (i, i + 1)]
    height = 190 + 20 * len(layers)
    figure = _figure(height)
    figure.add_trace(
        Heatmap(
            x=[[dtype for dtype, _ in columns], [escape(path, quote=False) for _, path in columns]],
            y=layers,
            z=level,
            zmin=-0.5,
            zmax=len(WORST) - 0.5,
            colorscale=steps,
            text=letters,
            texttemplate="%{text}",
            customdata=words,
            hovertemplate="%{y}, %{x}<br>%{customdata}<extra></extra>",
            xgap=1,
            ygap=1,
            colorbar={
                "tickvals": list(range(len(WORST))),
                "ticktext": [f"{STATUS_COLOURS[s][1]} {s}" for s in WORST],
                "thickness": 12,
            },
        )
    )
    figure.update_xaxes(side="top", tickangle=-90)
    rows = [
        (cell.layer, cell.dtype, cell.path, *(cell.statuses.get(status, 0) for status in COUNTED))
        for cell in sorted(content.cells, key=lambda cell: (cell.layer, cell.dtype, cell.path))
    ]
    return _chart(
        "verdicts",
        "Verdicts by path, dtype and layer",
        "The worst verdict that each path had on networks with the layer, in each dtype.",
        figure,
        ("layer", "dtype", "path", *COUNTED),
        rows,
        width=240 + 26 * len(columns),
    )


def _sharpness(content: Content) -> Chart | None:
    """The distribution of the resolution, one curve for each dtype, of the first path that has it."""
    path = next((path for path in content.paths if any(row[0] == path for row in content.sharpness)), None)
    if path is None:
        return None
    from plotly.graph_objects import Scatter

    figure = _figure(340)
    rows = []
    for i, dtype in enumerate(dict.fromkeys(row[1] for row in content.sharpness if row[0] == path)):
        bins = [(low, networks) for name, of, low, networks in content.sharpness if (name, of) == (path, dtype)]
        whole = sum(networks for _, networks in bins)
        below, reached = 0, []
        for low, networks in bins:
            below += networks
            reached.append((low * 2**0.25, 100 * below / whole))
        median = next(u for u, share in reached if share >= 50)
        rows.append((dtype, whole, f"{median:.3g}", f"{next(u for u, share in reached if share >= 90):.3g}"))
        figure.add_trace(
            Scatter(
                x=[u for u, _ in reached],
                y=[share for _, share in reached],
                name=dtype,
                mode="lines",
                line={"shape": "hv", "color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)], "width": 2},
                hovertemplate="%{y:.0f} % of the networks: at most %{x:.3s} u",
            )
        )
    # networks with enormous entries beside tiny ones would leave no room for all others
    title = "smallest error certainly caught,<br>in u of the largest entry"  # in one line it is wider than a telephone
    figure.update_xaxes(type="log", title=title, range=[0, MOST_DECADES])
    figure.update_yaxes(title="% of networks", range=[0, 101])
    return _chart(
        "sharpness",
        "Sharpness of the enclosures",
        f"For {path}: on how many networks an error of so many units of roundoff would certainly have been caught.",
        figure,
        ("dtype", "networks", "half of them: at most (u)", "nine of ten: at most (u)"),
        rows,
    )


def _costs(content: Content) -> Chart | None:
    if not content.costs:
        return None
    from plotly.graph_objects import Scatter

    figure = _figure(380)
    for i, path in enumerate(dict.fromkeys(row[0] for row in content.costs)):
        points = [row for row in content.costs if row[0] == path]
        figure.add_trace(
            Scatter(
                x=[entries for _, entries, _, _ in points],
                y=[1000 * seconds for _, _, seconds, _ in points],
                customdata=[networks for *_, networks in points],
                name=escape(path, quote=False),  # plotly takes <b> for markup, as it does the <br> below
                mode="lines+markers",
                line={"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)]},
                marker={"symbol": i, "size": 7},
                hovertemplate="%{y:.3s} ms at about %{x:.3s} entries<br>%{customdata:,} networks<extra>"
                + escape(path, quote=False)
                + "</extra>",
            )
        )
    figure.update_xaxes(type="log", title="entries of the Jacobian, N C P")
    figure.update_yaxes(type="log", title="ms")
    return _chart(
        "costs",
        "What each path cost",
        "Mean time of a path by the size of the Jacobian, both on logarithmic axes.",
        figure,
        ("path", "entries, about", "ms", "networks"),
        [
            (path, f"{entries:.0f}", f"{1000 * seconds:.3g}", networks)
            for path, entries, seconds, networks in content.costs
        ],
    )


def _features(content: Content) -> Chart | None:
    networks = content.counts["networks"]
    if not content.features or not networks:
        return None
    from plotly.graph_objects import Bar

    names = [name for name, _ in reversed(content.features)]
    shares = [100 * count / networks for _, count in reversed(content.features)]
    figure = _figure(70 + 17 * len(names), bargap=0.25)
    figure.add_trace(
        Bar(
            x=shares,
            y=names,
            orientation="h",
            marker={"color": [COLOURS[0] if share else STATUS_COLOURS["disagrees"][0] for share in shares]},
            text=["never drawn" if not share else "" for share in shares],
            textposition="outside",
            hovertemplate="%{y}: %{x:.3g} %<extra></extra>",
        )
    )
    figure.update_xaxes(title="% of networks", side="top")
    figure.update_yaxes(tickfont={"size": 11}, dtick=1)
    return _chart(
        "features",
        "Features of the networks",
        "How much of what makes libraries stumble was drawn.",
        figure,
        ("feature", "networks", "%"),
        [(name, count, f"{100 * count / networks:.3g}") for name, count in content.features],
    )


def _time(content: Content) -> Chart | None:
    if not content.spent:
        return None
    from plotly.graph_objects import Bar

    figure = _figure(80 + 34 * len(content.spent), bargap=0.35)
    figure.add_trace(
        Bar(
            x=[seconds for _, seconds in reversed(content.spent)],
            y=[what for what, _ in reversed(content.spent)],
            orientation="h",
            marker={"color": COLOURS[2]},
            hovertemplate="%{y}: %{x:.3s} s<extra></extra>",
        )
    )
    figure.update_xaxes(title="seconds")
    return _chart(
        "time",
        "Where the time went",
        "Seconds for each property, or group of them, and for making failures smaller, all workers together.",
        figure,
        ("what", "seconds"),
        [(what, f"{seconds:.1f}") for what, seconds in content.spent],
    )


def _rate(content: Content) -> Chart | None:
    if len(content.minutes) < 3:
        return None
    from plotly.graph_objects import Scatter

    figure = _figure(260)
    figure.add_trace(
        Scatter(
            x=[at.isoformat() for at, _ in content.minutes],
            y=[networks for _, networks in content.minutes],
            mode="lines",
            line={"color": COLOURS[0], "width": 2},
            hovertemplate="%{x|%H:%M}: %{y:,} networks<extra></extra>",
        )
    )
    figure.update_yaxes(title="networks a minute", rangemode="tozero")
    figure.update_xaxes(title="UTC")
    return _chart(
        "rate",
        "Networks a minute",
        "Whether the campaign kept its speed; the first and the last minute are no whole ones.",
        figure,
        ("minute (UTC)", "networks"),
        [(at.strftime("%Y-%m-%d %H:%M"), networks) for at, networks in content.minutes],
    )
