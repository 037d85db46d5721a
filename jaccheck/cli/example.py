"""``jaccheck example``."""

from __future__ import annotations

from dataclasses import replace

from jaccheck.cli._app import app
from jaccheck.cli._options import Json, Plot
from jaccheck.cli._shown import show_report


@app.command()
def example(plot: Plot = None, as_json: Json = False) -> int:
    """Check the example: 15 samples through Linear(10, 7), ReLU, Linear(7, 5), by three paths."""
    from jaccheck._check import check
    from jaccheck._example import network

    report = check(*network().build(), images=plot is not None)
    return show_report(replace(report, again="jaccheck example"), {}, as_json, plot)
