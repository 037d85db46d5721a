"""``jaccheck replay``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli._app import DISAGREEMENT, app
from jaccheck.cli._campaign import TIMEOUT
from jaccheck.cli._json import put
from jaccheck.cli._options import Json, Load, Plot, Reproducer, again, import_modules
from jaccheck.cli._screen import say
from jaccheck.cli._scripts import Script, of_report
from jaccheck.cli._shown import show_report

if TYPE_CHECKING:
    from jaccheck._finding import Finding
    from jaccheck.defects.known import Told
    from jaccheck.fuzz.crew import Loss


@app.command()
def replay(
    file: Annotated[str, typer.Argument(help="A failure that fuzz has saved, or the name of a known defect.")],
    plot: Plot = None,
    reproducer: Reproducer = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Check the network of a saved failure again, or of a known defect, by the same paths and property."""
    from jaccheck._finding import PROCESS, asked_of
    from jaccheck.defects.known import told
    from jaccheck.fuzz.crew import Loss

    import_modules(load)
    finding = _of_the_register(file) or _saved(file)
    try:
        model, x = finding.network.build()
    except InvalidProblem as error:
        raise InvalidProblem(f"{file}: {error}") from error
    from jaccheck.properties import PROPERTIES

    law = finding.failure.property
    laws = (law,) if law in PROPERTIES else finding.properties or tuple(PROPERTIES)
    properties = tuple(asked_of(finding.network, name) for name in laws)
    seed = finding.network.seed
    if law == PROCESS:
        found = _in_a_process(finding, properties, load, plot is not None)
        if isinstance(found, Loss):
            return _show_loss(finding, found, as_json)
        report, known = found
    else:
        report, known = told(model, x, paths=finding.paths, properties=properties, seed=seed, images=plot is not None)
    report = replace(report, again=again("replay", file, None, None, load))
    there = Path(file).with_suffix(".py") if Path(file).exists() else None
    kept = reproducer is None and there is not None and there.exists()
    script = Script(there) if kept else of_report(reproducer, model, x, report, seed)
    return show_report(report, known, as_json, plot, script)


def _of_the_register(name: str) -> Finding | None:
    """What shows the known defect of that name, if there is one."""
    from jaccheck._finding import FORWARD, Failure, Finding
    from jaccheck._network import Network
    from jaccheck.defects.register import register
    from jaccheck.paths import DEFAULT, paths

    defect = next((entry for entry in register() if entry.id == name), None)
    if defect is None:
        return None
    concerned = DEFAULT if FORWARD in defect.paths else tuple(path for path in defect.paths if path in paths())
    failure = Failure(defect.paths[0], defect.property, defect.kind)
    return Finding(failure, Network.from_json(json.dumps(defect.network)), concerned, properties=("enclosure",))


def _saved(file: str) -> Finding:
    from jaccheck._finding import Finding
    from jaccheck._target import text_of

    text = text_of(file)
    try:
        return Finding.from_json(text)
    except InvalidProblem as error:
        raise InvalidProblem(f"{file}: {error}") from error


def _in_a_process(finding: Finding, properties: tuple[str, ...], load: list[str] | None, images: bool) -> Told | Loss:
    """Check in a process that may end."""
    from jaccheck._finding import WORKER
    from jaccheck.fuzz.exploring import checked_once
    from jaccheck.fuzz.pool import outlived
    from jaccheck.paths import resolve

    path = finding.failure.path
    paths = finding.paths if path == WORKER else (path,)
    resolve(paths)
    question = (finding.network, paths, properties, images)
    return outlived(checked_once, *question, load=tuple(load or ()), seconds=finding.timeout or TIMEOUT)


def _show_loss(finding: Finding, loss: Loss, as_json: bool) -> int:
    failure = finding.failure._replace(kind=loss.kind)
    if as_json:
        put({"format": 1, "ok": False, **failure._asdict(), "detail": loss.said})
    else:
        say(f"{failure}, again.\n{loss.said}")
    return DISAGREEMENT
