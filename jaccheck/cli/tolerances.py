"""``jaccheck tolerances``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck._threads import one_thread
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, INTERRUPTED, app
from jaccheck.cli._json import put
from jaccheck.cli._options import Json, drawable, seed_of, written


@app.command()
def tolerances(
    networks: Annotated[int, typer.Option(help="On so many networks.", metavar="K")] = 100,
    sample: Annotated[int | None, typer.Option(help="Only so many faults, spread over all.", metavar="K")] = None,
    seed: Annotated[int, typer.Option(help="Of the networks, and of the sample.", metavar="I", callback=seed_of)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the rules into this file.", metavar="FILE", callback=drawable)
    ] = None,
    as_json: Json = False,
) -> int:
    """Measure by how much the usual rules fail: false alarms on right results, and faults that they find."""
    for option, value in (("--networks", networks), ("--sample", 1 if sample is None else sample)):
        if value < 1:
            raise InvalidProblem(f"{option} is {value}, but should be at least 1")
    from jaccheck.selftest.score import chosen
    from jaccheck.selftest.tolerances import tolerances as measured

    with one_thread():
        found = measured(
            chosen(sample=sample, seed=seed),
            networks=networks,
            seed=seed,
            watch=lambda words: print(words, file=sys.stderr, flush=True),
        )
    if as_json:
        put(found.data())
    else:
        screen.say(str(found))
    if plot is not None:
        written(plot, found.plot)
    return INTERRUPTED if found.interrupted else AGREEMENT
