"""``jaccheck atlas``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck._threads import one_thread
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, INTERRUPTED, app
from jaccheck.cli._json import put
from jaccheck.cli._options import AllPaths, Json, Load, chosen, drawable, import_modules, path_names, written

if TYPE_CHECKING:
    from torch import nn

HALVES = ("float16", "bfloat16")


@app.command()
def atlas(
    activation: Annotated[
        list[str] | None, typer.Option("--activation", help="Its name; repeat it for several.", metavar="NAME")
    ] = None,
    path: AllPaths = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float16 or bfloat16.", metavar="NAME")] = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="All 2^32 arguments of float32, minutes for each; no other if none named.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the errors into this file.", metavar="FILE", callback=drawable)
    ] = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Try each activation at all arguments, and show how far each path's derivative is off."""
    import_modules(load)
    from jaccheck._activations import ACTIVATIONS
    from jaccheck._errors import Unsupported
    from jaccheck.atlas.survey import Survey, computes, survey
    from jaccheck.atlas.table import table
    from jaccheck.paths import resolve

    names = chosen("activation", activation, [name for name in ACTIVATIONS if name != "Identity"])
    halves = () if float32 and not dtype else chosen("dtype", dtype, HALVES)
    dtypes = (*halves, *(("float32",) if float32 else ()))
    paths = resolve("all" if not path else path_names(path))
    layers = [layer for name in names for layer in _layers(name)]
    surveys: list[Survey] = []
    interrupted = False
    with nullcontext() if float32 else one_thread(), _progress(len(layers) * len(dtypes)) as begin:
        for layer, name in product(layers, dtypes):
            try:
                if computes(layer, name):
                    surveys.append(survey(layer, name, paths, begin(f"{layer!r}, {name}", name)))
                    interrupted = surveys[-1].interrupted
            except Unsupported:  # for some parameters nothing is known
                continue
            except KeyboardInterrupt:
                if not surveys:
                    raise
                interrupted = True
            if interrupted:
                break
    if not surveys:
        raise InvalidProblem(f"torch has no {', '.join(names)} in {', '.join(dtypes)}")
    if as_json:
        put([one.data() for one in surveys])
    else:
        screen.say(table(surveys))
    if plot is not None:
        from jaccheck.atlas._plot import figure

        written(plot, figure(surveys).savefig)
    wrong = any(course.status == "wrong" for one in surveys for course in one.courses.values())
    if wrong:
        return DISAGREEMENT
    return INTERRUPTED if interrupted else AGREEMENT


def _layers(name: str) -> list[nn.Module]:
    """The activation with each of the parameters that are worth trying."""
    from jaccheck._activations import ACTIVATIONS

    kind = ACTIVATIONS[name]
    every = product(*(parameter.values for parameter in kind.parameters.values()))
    return [kind.module(**dict(zip(kind.parameters, values, strict=True))) for values in every]


@contextmanager
def _progress(surveys: int) -> Iterator[Callable[[str, str], Callable[[int], None]]]:
    """On a terminal, bars: to be told of each survey, what this gives then of how many arguments have been done."""
    if not (sys.stderr.isatty() and find_spec("rich")):
        yield lambda words, dtype: lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from jaccheck._values import FORMATS
    from jaccheck.atlas.numbers import count

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        whole = progress.add_task("all", total=surveys)
        one = progress.add_task("", total=None)

        def begin(words: str, dtype: str) -> Callable[[int], None]:
            total = count(FORMATS[dtype])
            progress.reset(one, total=total, description=words)
            done = 0

            def advance(more: int) -> None:
                nonlocal done
                done += more
                progress.advance(one, more)
                if done == total:
                    progress.advance(whole)

            return advance

        yield begin
