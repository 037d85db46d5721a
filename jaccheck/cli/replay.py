"""``jaccheck replay``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli._app import app
from jaccheck.cli._options import Json, Load, Plot, Reproducer, again, import_modules
from jaccheck.cli._scripts import Script, of_report
from jaccheck.cli._shown import show_report


@app.command()
def replay(
    file: Annotated[str, typer.Argument(help="A failure that fuzz has saved.")],
    plot: Plot = None,
    reproducer: Reproducer = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Check the network of a saved failure again, by the same paths and property."""
    from jaccheck._check import check
    from jaccheck._target import text_of
    from jaccheck.fuzz.finding import Finding, asked_of

    import_modules(load)
    text = text_of(file)
    try:
        finding = Finding.from_json(text)
        model, x = finding.network.build()
    except InvalidProblem as error:
        raise InvalidProblem(f"{file}: {error}") from error
    law = finding.failure.property
    from jaccheck.properties import PROPERTIES

    properties = [asked_of(finding.network, name) for name in ((law,) if law in PROPERTIES else PROPERTIES)]
    report = check(model, x, paths=finding.paths, properties=properties, images=plot is not None)
    report = replace(report, again=again("replay", file, None, None, load))
    there = Path(file).with_suffix(".py")
    script = Script(there) if reproducer is None and there.exists() else of_report(reproducer, model, x, report)
    return show_report(report, model, x, as_json, plot, script)
