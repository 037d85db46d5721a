"""``jaccheck fuzz``."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck._threads import one_thread
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, INTERRUPTED, app
from jaccheck.cli._campaign import TIMEOUT, check_folders, crew, logged, registered, resumed, saved
from jaccheck.cli._json import put
from jaccheck.cli._live import watching
from jaccheck.cli._options import (
    Json,
    Load,
    Paths,
    Properties,
    chosen,
    device_names,
    import_modules,
    path_names,
    property_names,
    seed_of,
)
from jaccheck.cli._scripts import beside

MOST = 1024  # workers
SECONDS = 30.0  # if neither --seconds nor --examples says otherwise


@app.command()
def fuzz(
    context: typer.Context,
    seconds: Annotated[float | None, typer.Option(help="Stop after this time.", metavar="S")] = None,
    examples: Annotated[int | None, typer.Option(help="Stop after this many networks.", metavar="K")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed and --examples give the same networks.", metavar="I", callback=seed_of),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes, by default one a core, or for every 50 of --examples; 1 is this one, but with --timeout.",
            metavar="W",
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds a network, by default 300; then its process is replaced.", metavar="S")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="The workers of the Dask cluster with this scheduler.", metavar="ADDRESS")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="A folder for failures, or redis://… for several machines; with --seed there is none by default.",
            metavar="WHERE",
        ),
    ] = None,
    path: Paths = None,
    property: Properties = None,
    dtype: Annotated[list[str] | None, typer.Option(help="A dtype; repeat it for several.", metavar="NAME")] = None,
    device: Annotated[list[str] | None, typer.Option(help="A device; repeat it for several.", metavar="NAME")] = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Don't stop at the first failure.")] = False,
    no_known: Annotated[
        bool, typer.Option("--no-known", help="Known defects of the libraries are failures, too.")
    ] = False,
    log: Annotated[Path | None, typer.Option(help="Log every network into this new file.", metavar="FILE")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the campaign of this log.", metavar="FILE")] = None,
    save_dir: Annotated[Path, typer.Option(help="Where failures are saved.", metavar="FOLDER")] = Path(
        "jaccheck-failures"
    ),
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Make up networks until a path fails on one; then make that one small, show it and save it."""
    if workers is not None and not 1 <= workers <= MOST:
        raise InvalidProblem(f"--workers is {workers}, but should be from 1 to {MOST:,}")
    if timeout is not None and not timeout > 0:
        raise InvalidProblem(f"--timeout is {timeout}, but should be more than 0")
    if seconds is not None and not seconds > 0:
        raise InvalidProblem(f"--seconds is {seconds}, but should be more than 0")
    if examples is not None and examples < 1:
        raise InvalidProblem(f"--examples is {examples}, but should be at least 1")
    from jaccheck.fuzz.campaign import Campaign
    from jaccheck.fuzz.log import Log
    from jaccheck.fuzz.logfile import LogFailure

    own = registered()
    opened: Log | None = None
    if resume is not None:
        opened, plan = resumed(context, resume, seconds)
    else:
        import_modules(load)
        from jaccheck._values import DTYPES
        from jaccheck.fuzz.plan import Plan
        from jaccheck.paths import resolve

        plan = Plan(
            seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
            paths=resolve(path_names(path)),
            properties=property_names(property),
            dtypes=chosen("dtype", dtype, DTYPES),
            devices=device_names(device),
            seconds=SECONDS if seconds is None and examples is None else seconds,
            examples=examples,
            keep_going=keep_going,
            known=not no_known,
            database=str(save_dir / "examples") if database is None and seed is None else database,
            folder=save_dir,
            load=tuple(load or ()),
        )
        check_folders(plan)
        if log is not None:
            opened = Log.create(log, plan)
    folder = plan.folder
    with one_thread(), crew(plan, workers, timeout, dask, own) as hired, watching(plan, quiet=as_json) as watch:
        campaign = Campaign(
            plan,
            hired,
            log=opened,
            timeout=TIMEOUT if timeout is None else timeout,
            watch=watch,
            keep=lambda finding: saved(folder, finding),
        )
        try:
            summary = campaign.run()
        except LogFailure as error:
            where = f"; what has been found is in {folder}" if campaign.summary.findings else ""
            raise LogFailure(f"{error}{where}") from error
    files = [saved(folder, finding) for finding in summary.findings]
    scripts = [beside(finding, file) for finding, file in zip(summary.findings, files, strict=True)]
    if opened is not None:
        logged(opened, summary, scripts)
    if as_json:
        put(screen.summary_data(summary, files, scripts))
    else:
        screen.show_summary(summary, files, scripts)
    if summary.findings:
        return DISAGREEMENT
    return INTERRUPTED if summary.stopped == "interrupted" else AGREEMENT
