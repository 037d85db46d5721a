"""``jaccheck check``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from jaccheck.cli._app import app
from jaccheck.cli._options import (
    Json,
    Load,
    Paths,
    Plot,
    Reproducer,
    again,
    import_modules,
    path_names,
    seed_of,
)
from jaccheck.cli._scripts import of_report
from jaccheck.cli._shown import show_report


@app.command()
def check(
    target: Annotated[str, typer.Argument(help="network.json, file.py:function or module:function.")],
    path: Paths = None,
    property: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            help="A property; repeat it for several. sequence:STEP,STEP names the steps.",
            metavar="NAME",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Let layers of chance in, such as Dropout: all draw from this seed.", metavar="I", callback=seed_of
        ),
    ] = None,
    repeat: Annotated[bool, typer.Option("--repeat", help="Call each path twice, and compare.")] = False,
    plot: Plot = None,
    reproducer: Reproducer = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Check a model and an input: a network's JSON, or what a function without arguments returns as (model, x)."""
    from jaccheck._target import problem_of
    from jaccheck.defects.known import told

    import_modules(load)
    model, x = problem_of(target)
    paths = path_names(path)
    report, known = told(
        model, x, paths=paths, properties=property or None, repeat=repeat, seed=seed, images=plot is not None
    )
    report = replace(report, again=again("check", target, path, property, load, seed, repeat=repeat))
    return show_report(report, known, as_json, plot, of_report(reproducer, model, x, report, seed))
