"""The command line: one file a command, each of which enters itself in `app`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from importlib import import_module
from typing import Annotated, Any

from jaccheck._errors import InvalidProblem
from jaccheck._needs import MissingPackage, needs

with needs("the command line"):
    import typer

from jaccheck.cli._app import AGREEMENT, BAD_USAGE, DISAGREEMENT, INTERRUPTED, app

COMMANDS = (
    "example",
    "check",
    "bench",
    "atlas",
    "fuzz",
    "replay",
    "record",
    "compare",
    "report",
    "selftest",
    "tolerances",
)
"""In the order of --help."""
for _command in COMMANDS:
    import_module(f"jaccheck.cli.{_command}")

_CLICK_ERROR: Any = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)  # typer's own, or click's


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv`, by default the program's.

    Returns:
        The exit status: 0 all agree, 1 a disagreement, 2 bad usage or input, 130 interrupted before any was found.
    Raises:
        BrokenPipeError: nobody reads what it prints any more.
    """
    try:
        with needs("this command"), ExitStack() as whole:
            status = app(args=argv, prog_name="jaccheck", standalone_mode=False, obj=whole)
    except _CLICK_ERROR as error:
        return _refused(f"{error.format_message()} (see jaccheck --help)")
    except (InvalidProblem, MissingPackage) as error:
        return _refused(str(error))
    except (typer.Abort, KeyboardInterrupt):
        print("jaccheck: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else AGREEMENT


def entry_point() -> None:
    """The program ``jaccheck``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without ± still shows the rest
            stream.reconfigure(errors="replace")
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in: jaccheck … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = DISAGREEMENT
    sys.exit(status)


def _refused(message: str) -> int:
    print(f"jaccheck: {' '.join(message.split())}", file=sys.stderr)
    return BAD_USAGE


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say the versions of what takes part.")] = False,
) -> None:
    if version:
        from jaccheck._check import versions

        print(", ".join(f"{name} {number}" for name, number in versions().items()))
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.BadParameter(f"a command is missing: {', '.join(COMMANDS[:-1])} or {COMMANDS[-1]}")
