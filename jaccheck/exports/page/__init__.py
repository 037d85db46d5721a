"""A campaign as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from jaccheck._needs import needs
from jaccheck.exports.content import Content
from jaccheck.exports.page.charts import charts
from jaccheck.exports.page.drawn import boxes, pictures


def page(content: Content) -> str:
    """The page, as HTML; all text of networks, models and exceptions is escaped.

    Raises:
        MissingPackage: jinja2 or plotly isn't there.
    """
    with needs("a page"):
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from plotly.offline import get_plotlyjs
    environment = Environment(
        loader=PackageLoader("jaccheck.exports.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["percent"] = _percent
    environment.filters["duration"] = _duration
    return environment.get_template("page.html.j2").render(
        c=content,
        charts=charts(content),
        boxes=boxes,
        pictures=pictures,
        plotly=get_plotlyjs(),
    )


def _percent(part: int, whole: int) -> str:
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    return f"{share:.2g} %" if share >= 0.1 else "< 0.1 %"


def _duration(seconds: float) -> str:
    """As ``2 h 05 min``, ``3 min 20 s`` or ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
