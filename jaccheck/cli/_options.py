"""Options that several commands have, and what they mean."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from jaccheck._errors import InvalidProblem
from jaccheck.cli._json import alone

T = TypeVar("T")


def _alone(context: typer.Context, asked: bool) -> bool:
    if asked:
        context.obj.enter_context(alone())
    return asked


Paths = Annotated[
    list[str] | None, typer.Option("--path", help="A path, or 'all'; repeat it for several.", metavar="NAME")
]
Properties = Annotated[
    list[str] | None, typer.Option("--property", help="A property; repeat it for several.", metavar="NAME")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout and nothing else.", callback=_alone)]
Load = Annotated[
    list[str] | None,
    typer.Option("--load", help="First import this file.py or module, which may register paths.", metavar="MODULE"),
]
Reproducer = Annotated[
    Path | None, typer.Option("--reproducer", help="Write a script that shows it into this file.", metavar="FILE")
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw the Jacobians into this file.", metavar="FILE")]


def written(where: Path, write: Callable[[Path], T]) -> T:
    try:
        return write(where)
    except OSError as error:
        raise InvalidProblem(f"can't write {where}: {error.strerror or error}") from error


def writable(folder: Path) -> None:
    """Refuse a folder that can't be written to before, rather than after, something has been found."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise InvalidProblem(f"--save-dir is {folder}, but {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidProblem(f"--save-dir is {folder}, but {there} can't be written to")


def import_modules(modules: list[str] | None) -> None:
    if modules:
        from jaccheck._target import module_of

        for module in modules:
            module_of(module)


def given(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Those of the options that the command line names, as it does."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [
        f"--{name.replace('_', '-')}" for name, source in sources.items() if source and source.name == "COMMANDLINE"
    ]


def path_names(names: list[str] | None) -> str | list[str] | None:
    if not names or "all" not in names:
        return names or None
    return "all"


def property_names(names: list[str] | None) -> tuple[str, ...]:
    from jaccheck.properties import PROPERTIES

    return chosen("property", names, PROPERTIES)


def device_names(names: list[str] | None) -> tuple[str, ...]:
    import torch

    there = ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())))
    return chosen("device", ["cuda:0" if name == "cuda" else name for name in names or ()], there)


def chosen(what: str, names: Iterable[str] | None, known: Iterable[str]) -> tuple[str, ...]:
    """`names`, each once, or all that are `known`."""
    known, chosen = tuple(known), tuple(dict.fromkeys(names or ()))
    for name in chosen:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidProblem(f"there is no {what} {name!r} here, but: {', '.join(known)}{hint}")
    return chosen or known


def again(
    command: str,
    target: str,
    paths: list[str] | None,
    laws: list[str] | None,
    load: list[str] | None,
    seed: int | None = None,
) -> str:
    """The command line that does the same."""
    named = (("--path", paths), ("--property", laws), ("--load", load))
    options = [word for option, values in named for value in values or () for word in (option, value)]
    options += [] if seed is None else ["--seed", str(seed)]
    return shlex.join(["jaccheck", command, target, *options])
