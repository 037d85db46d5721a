"""The command line: example, check, bench, fuzz, replay."""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from jaccheck import _screen as screen
from jaccheck._errors import InvalidProblem

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jaccheck._known import Defect
    from jaccheck._report import Report

T = TypeVar("T")

AGREEMENT, DISAGREEMENT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
SECONDS = 30.0  # of fuzz, if neither --seconds nor --examples says otherwise

app = typer.Typer(
    name="jaccheck",
    help="Is every way to compute a batched Jacobian right? Exit status: 0 yes, 1 no, 2 bad usage or input.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_CLICK_ERROR: Any = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)  # typer's own, or click's

Paths = Annotated[
    list[str] | None, typer.Option("--path", help="A path, or 'all'; repeat it for several.", metavar="NAME")
]
Properties = Annotated[
    list[str] | None, typer.Option("--property", help="A property; repeat it for several.", metavar="NAME")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout and nothing else.")]
Load = Annotated[
    list[str] | None,
    typer.Option("--load", help="First import this file.py or module, which may register paths.", metavar="MODULE"),
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw the Jacobians into this file.", metavar="FILE")]


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv`, by default the program's.

    Returns:
        The exit status: 0 all agree, 1 a disagreement, 2 bad usage or input, 130 interrupted before any was found.
    """
    try:
        status = app(args=argv, prog_name="jaccheck", standalone_mode=False)
    except _CLICK_ERROR as error:
        return _refused(f"{error.format_message()} (see jaccheck --help)")
    except InvalidProblem as error:
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
        raise typer.BadParameter("a command is missing: example, check, bench, fuzz or replay")


@app.command()
def example(plot: Plot = None, as_json: Json = False) -> int:
    """Check the example: 15 samples through Linear(10, 7), ReLU, Linear(7, 5), by three paths."""
    from jaccheck._check import check
    from jaccheck._example import network

    model, x = network().build()
    report = replace(check(model, x, images=plot is not None), again="jaccheck example")
    return _show(report, model, x, as_json, plot)


@app.command()
def check(
    target: Annotated[str, typer.Argument(help="network.json, file.py:function or module:function.")],
    path: Paths = None,
    property: Properties = None,
    repeat: Annotated[bool, typer.Option("--repeat", help="Call each path twice, and compare.")] = False,
    plot: Plot = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Check a model and an input: a network's JSON, or what a function without arguments returns as (model, x)."""
    from jaccheck import _check
    from jaccheck._target import problem_of

    _import(load)
    properties = _properties(property) if property else None
    model, x = problem_of(target)
    paths = _paths(path)
    report = _check.check(model, x, paths=paths, properties=properties, repeat=repeat, images=plot is not None)
    return _show(replace(report, again=_again("check", target, path, property, load)), model, x, as_json, plot)


@app.command()
def bench(
    targets: Annotated[
        list[str], typer.Argument(help="network.json, file.py:function or module:function.", metavar="TARGET…")
    ],
    path: Paths = None,
    seconds: Annotated[float, typer.Option(help="How long to time each target.", metavar="S")] = 3.0,
    plot: Annotated[Path | None, typer.Option(help="Draw the costs into this file.", metavar="FILE")] = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Measure what each path costs, and name the fastest correct one."""
    from jaccheck._benchmark import benchmark
    from jaccheck._target import problem_of

    _import(load)
    if plot is not None and len(targets) > 1:
        raise InvalidProblem(f"--plot draws one target, but {len(targets)} are named")
    measured = {}
    for target in targets:
        found = benchmark(*problem_of(target), paths=_paths(path), seconds=seconds)
        if found.base is None and found.ok:  # unsupported, or out of memory
            reasons = "; ".join(f"{cost.path}: {cost.reason}" for cost in found.costs.values())
            raise InvalidProblem(f"{target}: no path can be measured: {reasons}")
        measured[target] = found
        if plot is not None:
            try:
                _written(plot, found.plot)
            except ImportError as error:
                raise InvalidProblem(str(error)) from error
        if not as_json:
            screen.say(f"{target}\n{found}\n")
    if as_json:
        print(json.dumps({target: found.data() for target, found in measured.items()}, allow_nan=False))
    return AGREEMENT if all(found.ok for found in measured.values()) else DISAGREEMENT


@app.command()
def fuzz(
    seconds: Annotated[float | None, typer.Option(help="Stop after this time.", metavar="S")] = None,
    examples: Annotated[int | None, typer.Option(help="Stop after this many networks.", metavar="K")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed and --examples give the same networks.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; only 1 for now.", metavar="W")] = 1,
    path: Paths = None,
    property: Properties = None,
    dtype: Annotated[list[str] | None, typer.Option(help="A dtype; repeat it for several.", metavar="NAME")] = None,
    device: Annotated[list[str] | None, typer.Option(help="A device; repeat it for several.", metavar="NAME")] = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Don't stop at the first failure.")] = False,
    no_known: Annotated[
        bool, typer.Option("--no-known", help="Known defects of the libraries are failures, too.")
    ] = False,
    save_dir: Annotated[Path, typer.Option(help="Where failures are saved.", metavar="FOLDER")] = Path(
        "jaccheck-failures"
    ),
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Make up networks until a path fails on one; then make that one small, show it and save it."""
    if workers != 1:
        raise InvalidProblem(f"--workers is {workers}, but fuzz runs in one process as yet; leave it out")
    if seconds is not None and not seconds > 0:
        raise InvalidProblem(f"--seconds is {seconds}, but should be more than 0")
    if examples is not None and examples < 1:
        raise InvalidProblem(f"--examples is {examples}, but should be at least 1")
    if seed is not None and seed < 0:
        raise InvalidProblem(f"--seed is {seed}, but should be at least 0")
    _import(load)
    from jaccheck._values import DTYPES
    from jaccheck.paths import resolve

    chosen_paths = resolve(_paths(path))
    properties = _properties(property)
    dtypes = _chosen("dtype", dtype, DTYPES)
    devices = _devices(device)
    _writable(save_dir)
    from jaccheck._fuzz import Fuzzer, Plan

    plan = Plan(
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
        paths=chosen_paths,
        properties=properties,
        dtypes=dtypes,
        devices=devices,
        seconds=SECONDS if seconds is None and examples is None else seconds,
        examples=examples,
        keep_going=keep_going,
        known=not no_known,
        replay_first=seed is None,
        folder=save_dir,
    )
    with _one_thread(), screen.watching(plan) as watch:
        summary = Fuzzer(plan, watch).run()
    files = [_written(save_dir, finding.save) for finding in summary.findings]
    if as_json:
        print(json.dumps(screen.summary_data(summary, files), allow_nan=False))
    else:
        screen.show_summary(summary, files)
    if summary.findings:
        return DISAGREEMENT
    return INTERRUPTED if summary.stopped == "interrupted" else AGREEMENT


@app.command()
def replay(
    file: Annotated[str, typer.Argument(help="A failure that fuzz has saved.")],
    plot: Plot = None,
    load: Load = None,
    as_json: Json = False,
) -> int:
    """Check the network of a saved failure again, by the same paths and property."""
    from jaccheck._check import check
    from jaccheck._finding import Finding
    from jaccheck._target import text_of

    _import(load)
    text = text_of(file)
    try:
        finding = Finding.from_json(text)
        model, x = finding.network.build()
    except InvalidProblem as error:
        raise InvalidProblem(f"{file}: {error}") from error
    law = finding.failure.property
    from jaccheck.properties import PROPERTIES

    properties = (law,) if law in PROPERTIES else tuple(PROPERTIES)
    report = check(model, x, paths=finding.paths, properties=properties, images=plot is not None)
    return _show(replace(report, again=_again("replay", file, None, None, load)), model, x, as_json, plot)


def _show(report: Report, model: nn.Module, x: Tensor, as_json: bool, plot: Path | None) -> int:
    """Show the report, and say by the exit status whether it is a good one."""
    if plot is not None:
        try:
            _written(plot, report.plot)
        except ImportError as error:
            raise InvalidProblem(str(error)) from error
    known = _known_defects(report, model, x)
    if as_json:
        ids = {path: [defect.id for defect in defects] for path, defects in known.items()}
        print(json.dumps({**report.data(), "known": ids}, allow_nan=False))
    else:
        screen.show(report, known)
    return AGREEMENT if report.ok else DISAGREEMENT


def _known_defects(report: Report, model: nn.Module, x: Tensor) -> dict[str, tuple[Defect, ...]]:
    """For each path that disagrees, the defects of the register that are all that is wrong with it."""
    if report.ok:
        return {}
    from jaccheck._finding import failures
    from jaccheck._known import known

    found = {failure.path: known(failure, model, x) for failure in failures(report)}
    # a reason beside the values: the path breaks another property, too
    return {path: defects for path, defects in found.items() if defects and report.verdicts[path].reason is None}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch's threads would do nothing but wait for one another on problems as small as these."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _written(where: Path, write: Callable[[Path], T]) -> T:
    try:
        return write(where)
    except OSError as error:
        raise InvalidProblem(f"can't write {where}: {error.strerror or error}") from error


def _writable(folder: Path) -> None:
    """Refuse a folder that can't be written to before, rather than after, something has been found."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise InvalidProblem(f"--save-dir is {folder}, but {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidProblem(f"--save-dir is {folder}, but {there} can't be written to")


def _import(modules: list[str] | None) -> None:
    if modules:
        from jaccheck._target import module_of

        for module in modules:
            module_of(module)


def _paths(names: list[str] | None) -> str | list[str] | None:
    if not names or "all" not in names:
        return names or None
    return "all"


def _properties(names: list[str] | None) -> tuple[str, ...]:
    from jaccheck.properties import PROPERTIES

    return _chosen("property", names, PROPERTIES)


def _devices(names: list[str] | None) -> tuple[str, ...]:
    import torch

    there = ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())))
    return _chosen("device", ["cuda:0" if name == "cuda" else name for name in names or ()], there)


def _chosen(what: str, names: Iterable[str] | None, known: Iterable[str]) -> tuple[str, ...]:
    """`names`, each once, or all that are `known`."""
    known, chosen = tuple(known), tuple(dict.fromkeys(names or ()))
    for name in chosen:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidProblem(f"there is no {what} {name!r} here, but: {', '.join(known)}{hint}")
    return chosen or known


def _again(command: str, target: str, paths: list[str] | None, laws: list[str] | None, load: list[str] | None) -> str:
    """The command line that does the same."""
    named = (("--path", paths), ("--property", laws), ("--load", load))
    options = [word for option, values in named for value in values or () for word in (option, value)]
    return shlex.join(["jaccheck", command, target, *options])
