"""The program and its exit statuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType

AGREEMENT, DISAGREEMENT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
UNREAD = 128 + 13  # as of a program that SIGPIPE ends


if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object


class _Help(_Base):
    """Shows a flag as one: some releases of typer show ``<bool>`` behind it, as if it took a value."""

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class _Command(_Help, TyperCommand):
    """One command."""


class _Commands(_Help, TyperGroup):
    """They are interrupted in the same way by each release of typer, some of which make an exit status of it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise typer.Abort from error


class _App(typer.Typer):
    """All of its commands are of one class."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        return super().command(name, cls=_Command, **options)


app = _App(
    name="jaccheck",
    cls=_Commands,
    help="Is every way to compute a batched Jacobian right? Exit status: 0 all agree, or "
    "nothing can be said of those that don't, 1 a disagreement, 2 bad usage or input, 130 interrupted before any was "
    "found, 141 where nobody reads what it prints any more. What record keeps and tolerances counts makes no "
    "difference to it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
