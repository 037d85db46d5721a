"""``jaccheck record``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jaccheck._report import COUNTED
from jaccheck._text import several
from jaccheck._threads import one_thread
from jaccheck.cli import _screen as screen
from jaccheck.cli._app import AGREEMENT, app
from jaccheck.cli._json import put
from jaccheck.cli._options import AllPaths, Json, Load, device_names, import_modules, path_names


@app.command()
def record(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.", metavar="DIR")],
    path: AllPaths = None,
    device: Annotated[str, typer.Option(help="Where to compute.", metavar="NAME")] = "cpu",
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Keep what each path makes of a fixed set of networks, to compare it after an upgrade."""
    import_modules(load)
    from jaccheck.paths import resolve
    from jaccheck.upgrade.networks import networks
    from jaccheck.upgrade.record import record as recorded
    from jaccheck.upgrade.record import reserved

    paths = resolve(path_names(path) or "all")
    (where,) = device_names([device])
    chosen = networks(where)
    with reserved(folder) as write, one_thread():
        with screen.progress(len(chosen), "networks") as watch:
            found = recorded(chosen, paths, watch)
        write(found)
    size = sum(file.stat().st_size for file in folder.iterdir())
    verdicts = [verdict.status for network in found.networks.values() for verdict in network.report.verdicts.values()]
    counts = {status: verdicts.count(status) for status in COUNTED if status in verdicts}
    if as_json:
        data = {"format": 1, "folder": str(folder), "bytes": size, "networks": len(found.networks)}
        facts = {"paths": list(paths), "versions": dict(found.versions), "machine": dict(found.machine)}
        put({**data, **facts, "verdicts": counts})
    else:
        said = ", ".join(f"{number} {status}" for status, number in counts.items())
        versions = ", ".join(f"{name} {number}" for name, number in found.versions.items())
        screen.say(
            f"{folder}: {several(len(found.networks), 'network')} by {several(len(paths), 'path')}, {said}; "
            f"{size / 1e6:.1f} MB\n  {versions}"
        )
    return AGREEMENT
