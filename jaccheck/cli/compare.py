"""``jaccheck compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, app
from jaccheck.cli._json import put
from jaccheck.cli._options import Json


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="What jaccheck record has kept.", metavar="DIR")],
    after: Annotated[Path, typer.Argument(help="The same under other versions.", metavar="DIR")],
    as_json: Json = False,
) -> int:
    """Say which paths changed between two records, by how much, and whether the enclosure holds both."""
    from jaccheck.upgrade.compare import compare as compared
    from jaccheck.upgrade.reading import read
    from jaccheck.upgrade.text import text

    found = compared(read(before), read(after))
    if as_json:
        put(found.data())
    else:
        screen.say(text(found))
    return AGREEMENT if found.ok else DISAGREEMENT
