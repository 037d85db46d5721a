"""The program and its exit statuses."""

from __future__ import annotations

import typer

AGREEMENT, DISAGREEMENT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
UNREAD = 128 + 13  # as of a program that SIGPIPE ends

app = typer.Typer(
    name="jaccheck",
    help="Is every way to compute a batched Jacobian right? Exit status: 0 all agree, 1 a disagreement, 2 bad usage or "
    "input, 130 interrupted before any was found.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
