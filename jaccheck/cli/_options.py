"""Options that several commands have, and what they mean."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, TypeVar

import typer

from jaccheck._errors import InvalidProblem
from jaccheck._needs import needs
from jaccheck.cli._json import alone

T = TypeVar("T")


def _alone(context: typer.Context, asked: bool) -> bool:
    if asked:
        context.obj.enter_context(alone())
    return asked


Paths = Annotated[
    list[str] | None,
    typer.Option(
        "--path", help="A path, or 'all'; repeat it for several. By default the three of the example.", metavar="NAME"
    ),
]
AllPaths = Annotated[
    list[str] | None,
    typer.Option("--path", help="A path; repeat it for several. All of them by default.", metavar="NAME"),
]
Properties = Annotated[
    list[str] | None, typer.Option("--property", help="A property; repeat it for several.", metavar="NAME")
]
SEEDS = 2**63  # as many as torch takes


def seed_of(seed: int | None) -> int | None:
    """A callback that refuses what is no seed."""
    if seed is not None and not 0 <= seed < SEEDS:
        raise InvalidProblem(f"--seed is {seed}, but should be from 0 to 2**63 - 1")
    return seed


Json = Annotated[bool, typer.Option("--json", help="JSON on stdout and nothing else.", callback=_alone)]
Load = Annotated[
    list[str] | None,
    typer.Option("--load", help="First import this file.py or module, which may register paths.", metavar="MODULE"),
]


def written(where: Path, write: Callable[[Path], T]) -> T:
    try:
        return write(where)
    except OSError as error:
        raise InvalidProblem(f"can't write {where}: {error.strerror or error}") from error


def creatable(file: Path | None) -> Path | None:
    """Refuse a file that can't be written before, rather than after, there is something to write."""
    if file is not None:
        written(file, _tried)
    return file


def drawable(file: Path | None) -> Path | None:
    """Likewise one that can't be drawn into."""
    if file is not None:
        creatable(file)
        with needs("--plot"):
            from jaccheck._plot import check_format
        check_format(file)
    return file


def _tried(file: Path) -> None:
    """Open it for writing, and leave all as it was."""
    there = os.path.lexists(file)
    if there and not (file.is_file() or file.is_dir()):
        return  # a pipe, say, whose reader would take the trial for the whole
    with file.open("ab"):
        pass
    if not there:
        file.unlink()


Reproducer = Annotated[
    Path | None,
    typer.Option(
        "--reproducer", help="Write a script that shows it into this file.", metavar="FILE", callback=creatable
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw the Jacobians into this file.", metavar="FILE", callback=drawable),
]


def writable(option: str, folder: Path) -> None:
    """Refuse a folder that can't be written to before, rather than after, something has been found."""
    new = [part for part in (folder, *folder.parents) if not os.path.exists(part)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise InvalidProblem(f"{option} is {folder}, but can't be written to: {reason}") from error
    finally:
        for part in new:
            with suppress(OSError):  # it hasn't been made, or somebody has put something into it
                part.rmdir()


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

    for name in names or ():
        plain, colon, _ = name.partition(":")
        if colon and plain in PROPERTIES:
            raise InvalidProblem(f"--property is {name}, but here it takes no argument; use {plain}, or jaccheck check")
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
    *,
    repeat: bool = False,
) -> str:
    """The command line that does the same."""
    named = (("--path", paths), ("--property", laws), ("--load", load))
    options = [word for option, values in named for value in values or () for word in (option, value)]
    options += [] if seed is None else ["--seed", str(seed)]
    options += ["--repeat"] if repeat else []
    return shlex.join(["jaccheck", command, target, *options])
