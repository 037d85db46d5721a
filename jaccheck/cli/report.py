"""``jaccheck report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaccheck._errors import InvalidProblem
from jaccheck._text import several
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, app
from jaccheck.cli._json import put
from jaccheck.cli._options import Json, creatable, written


@app.command()
def report(
    log: Annotated[Path, typer.Argument(help="A log of jaccheck fuzz --log.")],
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page that needs nothing else.", metavar="FILE", callback=creatable),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.", metavar="FILE", callback=creatable)] = None,
    csv: Annotated[Path | None, typer.Option(help="Write all rows as CSV.", metavar="FILE", callback=creatable)] = None,
    as_json: Json = False,
) -> int:
    """Tell what a campaign has done and found, from its log."""
    from jaccheck.cli import _screen as screen
    from jaccheck.fuzz.logread import counts

    found = counts(log)
    files = [file for file in (html, junit, csv) if file is not None]
    for i, file in enumerate(files):
        if file.exists() and file.samefile(log):
            raise InvalidProblem(f"{file} is the log itself; name another file")
        if any(file.resolve() == other.resolve() for other in files[:i]):
            raise InvalidProblem(f"{file} is named twice; name another file")
    if as_json:
        put(found)
    else:
        done = f"{several(found['networks'], 'network')}, {several(found['checks'], 'path check')}"
        ended = screen.STOPPED.get(found["stopped"], "it runs still, or was killed")
        screen.say(f"{done} in {found['seconds']:.1f} s; {ended}; --seed {found['seed']}")
        screen.show_known(found["known"])
        for finding in found["findings"]:
            screen.say(f"  found: {finding['path']}: {finding['property']} ({finding['kind']})", "bold red")
    if html is not None or junit is not None:
        from jaccheck.exports.content import content_of

        content = content_of(log)
        if html is not None:
            from jaccheck.exports.page import page

            _write(html, page(content))
        if junit is not None:
            from jaccheck.exports.junit import junit as junit_of

            _write(junit, junit_of(content))
    if csv is not None:
        written(csv, lambda file: _rows(log, file))
    return AGREEMENT if found["ok"] else DISAGREEMENT


def _write(file: Path, text: str) -> None:
    written(file, lambda file: file.write_text(text, encoding="utf-8"))


def _rows(log: Path, file: Path) -> int:
    from jaccheck.exports.rows import write_rows

    with file.open("w", encoding="utf-8", newline="") as out:
        return write_rows(log, out)
