"""The program and its exit statuses."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

AGREEMENT, DISAGREEMENT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
UNREAD = 128 + 13  # as of a program that SIGPIPE ends


class _Commands(TyperGroup):
    """They are interrupted in the same way by each release of typer, some of which make an exit status of it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Abort from error


app = typer.Typer(
    name="jaccheck",
    cls=_Commands,
    help="Is every way to compute a batched Jacobian right? Exit status: 0 all agree, 1 a disagreement, 2 bad usage or "
    "input, 130 interrupted before any was found.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
