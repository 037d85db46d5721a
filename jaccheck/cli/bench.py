"""``jaccheck bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, INTERRUPTED, app
from jaccheck.cli._json import put
from jaccheck.cli._options import Json, Load, drawable, given, import_modules, path_names, seed_of, written


@app.command()
def bench(
    context: typer.Context,
    targets: Annotated[
        list[str] | None, typer.Argument(help="network.json, file.py:function or module:function.", metavar="TARGET…")
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            help="A path, or 'all'; repeat it for several. By default the three of the example, with --sweep all.",
            metavar="NAME",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to time each target.", metavar="S")] = 3.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the costs into this file.", metavar="FILE", callback=drawable)
    ] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="No target, but drawn problems of all sizes.")] = False,
    problems: Annotated[int, typer.Option(help="How many, with --sweep; at least 10.", metavar="K")] = 200,
    seed: Annotated[int, typer.Option(help="Of the draw, with --sweep.", metavar="I", callback=seed_of)] = 0,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Measure what each path costs, and name the fastest correct one; or, with --sweep, what it costs over size."""
    if sweep == bool(targets):
        raise InvalidProblem("name a target to measure, or --sweep and none")
    idle = given(context, ("seconds",) if sweep else ("problems", "seed"))
    if idle:
        raise InvalidProblem(f"{idle[0]} is for {'targets' if sweep else '--sweep'} alone; leave it out")
    import_modules(load)
    if sweep:
        return _sweep(path, problems, seed, plot, as_json)
    return _targets(targets or [], path, seconds, plot, as_json)


def _targets(targets: list[str], path: list[str] | None, seconds: float, plot: Path | None, as_json: bool) -> int:
    from jaccheck._target import problem_of
    from jaccheck.bench.benchmark import benchmark

    if plot is not None and len(targets) > 1:
        raise InvalidProblem(f"--plot draws one target, but {len(targets)} are named")
    measured = {}
    for target in targets:
        found = benchmark(*problem_of(target), paths=path_names(path), seconds=seconds)
        if found.base is None and found.ok:  # unsupported, or out of memory
            reasons = "; ".join(f"{cost.path}: {cost.reason}" for cost in found.costs.values())
            raise InvalidProblem(f"{target}: no path can be measured: {reasons}")
        measured[target] = found
        if not as_json:
            screen.say(f"{target}\n{found}\n")
    if as_json:
        put({target: found.data() for target, found in measured.items()})
    if plot is not None:
        written(plot, found.plot)
    return AGREEMENT if all(found.ok for found in measured.values()) else DISAGREEMENT


def _sweep(path: list[str] | None, problems: int, seed: int, plot: Path | None, as_json: bool) -> int:
    from jaccheck.bench.sweep import sweep

    with screen.progress(problems, "problems") as watch:
        found = sweep(problems=problems, seed=seed, paths=path_names(path) or "all", watch=watch)
    if as_json:
        put(found.data())
    else:
        screen.say(str(found))
    if plot is not None:
        written(plot, found.plot)
    if any(point.wrong for point in found.points):
        return DISAGREEMENT
    return INTERRUPTED if found.interrupted else AGREEMENT
