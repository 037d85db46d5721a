"""``jaccheck bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, app
from jaccheck.cli._options import Json, Load, Paths, import_modules, path_names, written


@app.command()
def bench(
    targets: Annotated[
        list[str], typer.Argument(help="network.json, file.py:function or module:function.", metavar="TARGET…")
    ],
    path: Paths = None,
    seconds: Annotated[float, typer.Option(help="How long to time each target.", metavar="S")] = 3.0,
    plot: Annotated[Path | None, typer.Option(help="Draw the costs into this file.", metavar="FILE")] = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Measure what each path costs, and name the fastest correct one."""
    from jaccheck._target import problem_of
    from jaccheck.bench.benchmark import benchmark

    import_modules(load)
    if plot is not None and len(targets) > 1:
        raise InvalidProblem(f"--plot draws one target, but {len(targets)} are named")
    measured = {}
    for target in targets:
        found = benchmark(*problem_of(target), paths=path_names(path), seconds=seconds)
        if found.base is None and found.ok:  # unsupported, or out of memory
            reasons = "; ".join(f"{cost.path}: {cost.reason}" for cost in found.costs.values())
            raise InvalidProblem(f"{target}: no path can be measured: {reasons}")
        measured[target] = found
        if plot is not None:
            try:
                written(plot, found.plot)
            except ImportError as error:
                raise InvalidProblem(str(error)) from error
        if not as_json:
            screen.say(f"{target}\n{found}\n")
    if as_json:
        print(json.dumps({target: found.data() for target, found in measured.items()}, allow_nan=False))
    return AGREEMENT if all(found.ok for found in measured.values()) else DISAGREEMENT
