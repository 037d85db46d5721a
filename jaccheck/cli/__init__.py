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

from jaccheck.cli._app import AGREEMENT, BAD_USAGE, INTERRUPTED, UNREAD, app
from jaccheck.cli._interrupt import ctrl_c_heard

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
        The exit status: 0 all agree, or nothing can be said of those that don't, 1 a disagreement, 2 bad usage or
        input, 130 interrupted before any was found.
    Raises:
        OSError: what it prints can't be written; `BrokenPipeError`, if nobody reads it any more.
    """
    try:
        with ctrl_c_heard(), needs("this command"), ExitStack() as whole:
            status = app(args=argv, prog_name="jaccheck", standalone_mode=False, obj=whole)
    except _CLICK_ERROR as error:
        return _refused(f"{error.format_message()} (see jaccheck --help)")
    except (InvalidProblem, MissingPackage) as error:
        return _refused(str(error))
    except SystemExit as error:  # by which rich and click answer a broken pipe
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from None
        raise
    except (typer.Abort, KeyboardInterrupt):
        print("jaccheck: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else AGREEMENT


def entry_point() -> None:
    """The program ``jaccheck``, of which an exit status 1 never means that it couldn't say what it found."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without ± still shows the rest
            stream.reconfigure(errors="replace")
    try:
        status = main()
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # no write to a stream
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again at its end
        status = UNREAD
        if not isinstance(error, BrokenPipeError):  # there, the reader has seen enough, as in: jaccheck … | head
            status = _refused(f"can't write to stdout: {error.strerror or error}")
    sys.exit(status)


def _open_streams() -> None:
    """Where the shell has closed stdout or stderr, as by ``>&-``, nobody listens, which is no error."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            os.set_inheritable(number, True)  # workers print, too
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))


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
