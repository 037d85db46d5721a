"""``jaccheck selftest``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck._text import several
from jaccheck._threads import one_thread
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, INTERRUPTED, app
from jaccheck.cli._json import put
from jaccheck.cli._options import Json, property_names, seed_of


@app.command()
def selftest(
    sample: Annotated[int | None, typer.Option(help="Only so many faults, spread over all.", metavar="K")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="A fault; repeat it for several.", metavar="NAME")] = None,
    family: Annotated[list[str] | None, typer.Option(help="A family; repeat it for several.", metavar="NAME")] = None,
    budget: Annotated[float, typer.Option(help="Seconds of the processor for each.", metavar="S")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the networks, and of the sample.", metavar="I", callback=seed_of)] = 0,
    property: Annotated[
        list[str] | None,
        typer.Option("--property", help="Only by this property; repeat it for several.", metavar="NAME"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", metavar="W")] = 1,
    as_json: Json = False,
) -> int:
    """Put known faults into the paths, BackPACK and torch, and see whether each is found."""
    if sample is not None and sample < 1:
        raise InvalidProblem(f"--sample is {sample}, but should be at least 1")
    if workers < 1:
        raise InvalidProblem(f"--workers is {workers}, but should be at least 1")
    if not budget > 0:
        raise InvalidProblem(f"--budget is {budget}, but should be more than 0")
    from jaccheck.selftest.hunt import Hunt
    from jaccheck.selftest.score import chosen, scored

    faults = chosen(fault or (), family or (), sample, seed)
    laws = property_names(property)
    done = []

    def watch(hunt: Hunt) -> None:
        done.append(hunt)
        by = f"by {hunt.law}" if hunt.killed else "equivalent" if hunt.ok else "SURVIVED"
        words = f"{len(done)}/{len(faults)} {hunt.fault.family}.{hunt.fault.name} {by}"
        print(f"{words}, {several(hunt.networks, 'network')}, {hunt.seconds:.1f} s", file=sys.stderr, flush=True)

    with one_thread():
        score = scored(faults, seed=seed, budget=budget, properties=laws, workers=workers, watch=watch)
    if as_json:
        put(score.data())
    else:
        screen.say(str(score))
    if not score.ok:
        return DISAGREEMENT
    return INTERRUPTED if score.interrupted else AGREEMENT
