"""``jaccheck report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from jaccheck.cli._app import AGREEMENT, DISAGREEMENT, app
from jaccheck.cli._options import Json


@app.command()
def report(
    log: Annotated[Path, typer.Argument(help="A log of jaccheck fuzz --log.")],
    as_json: Json = False,
) -> int:
    """Tell what a campaign has done and found, from its log."""
    from jaccheck.cli import _screen as screen
    from jaccheck.fuzz.logread import counts

    found = counts(log)
    if as_json:
        print(json.dumps(found, allow_nan=False))
    else:
        screen.say(f"{found['networks']:,} networks, {found['checks']:,} path checks in {found['seconds']:.1f} s")
        for finding in found["findings"]:
            screen.say(f"  found: {finding['path']}: {finding['property']} ({finding['kind']})", "bold red")
    return AGREEMENT if found["ok"] else DISAGREEMENT
