"""A finding as a Python script of a few lines, which needs no jaccheck: for those who can mend it."""

from __future__ import annotations

import contextlib
import io
import warnings

import torch
from torch import Tensor, nn

from jaccheck._problem import admit
from jaccheck._report import Report, Verdict
from jaccheck._state import untouched
from jaccheck._text import headline
from jaccheck.paths import get, snippet
from jaccheck.reproducer import _endings as endings
from jaccheck.reproducer import _sequences as sequences
from jaccheck.reproducer._derived import derived, misvalued
from jaccheck.reproducer._errors import NoReproducer as NoReproducer
from jaccheck.reproducer._script import script


def reproducer(model: nn.Module, x: Tensor, report: Report, path: str | None = None, *, seed: int | None = None) -> str:
    """A script that shows what `report` says of `model` and `x`.

    It needs torch and the path's own library alone, prints what came out, what should and how far off it may be, and
    ends with exit status 1 while that is so and with 0 once it isn't. It has been tried: here and now it is so.

    Args:
        model, x: what has been checked.
        report: of a `jaccheck.check` that isn't ok.
        path: the path whose verdict to show; None means the first that disagrees, or the forward pass.
        seed: that of the check.
    Raises:
        NoReproducer: there can't be one; the message says why.
    """
    if path is None and report.forward is not None:
        title = f"The forward pass of torch is wrong in layer {report.forward.layer!r}."
        with untouched(model, x):
            problem, found = misvalued(model, x, report.forward, seed)
            lines = _seeded(problem.seed, endings.forward(found))
            return _tried(script(title, _versions(report), problem.model, problem.x, "", lines))
    wrong = [verdict for verdict in report.verdicts.values() if verdict.status == "disagrees"]
    verdict = next((v for v in wrong if path in (None, v.path)), None)
    if verdict is None:
        raise NoReproducer("nothing is wrong" if path is None else f"nothing is wrong with {path!r}")
    source = snippet(get(verdict.path))
    if source is None:
        raise NoReproducer(
            f"path {verdict.path!r} doesn't say how it is called: give it a `snippet`, Python source that defines "
            "jacobian(model, x)"
        )
    with untouched(model, x):
        model, x, verdict, seed = derived(model, x, verdict, seed)
        title = _title(verdict)
        text = script(title, _versions(report), model, x, source, _seeded(seed, _ending(verdict, model, x, seed)))
        return _tried(text)


def _title(verdict: Verdict) -> str:
    """For readers who know nothing of enclosures."""
    looks = "" if verdict.looks_like is None else f" It looks like this: {verdict.looks_like}."
    if verdict.index is None:
        return headline(verdict) + looks
    where = ", ".join(map(str, verdict.index))
    return f"{verdict.path!r} gives a wrong Jacobian of {verdict.parameter!r}, [N, C, *p.shape], at [{where}].{looks}"


def _seeded(seed: int | None, lines: list[str]) -> list[str]:
    return lines if seed is None else [f"torch.manual_seed({seed})", *lines]


def _ending(verdict: Verdict, model: nn.Module, x: Tensor, seed: int | None) -> list[str]:
    if verdict.property == "sequence" and verdict.kind == "value":
        return sequences.ending(verdict.reason or "")
    if verdict.index is not None:
        return endings.entry(verdict)
    if verdict.kind == "raised":
        return endings.raised()
    if verdict.kind == "shape" and verdict.parameter is not None:
        problem = admit(model, x, seed=seed)
        p = problem.parameters[verdict.parameter]
        return endings.shape(verdict.parameter, (problem.N, problem.C, *p.shape), problem.dtype)
    if verdict.kind == "missing":
        return endings.missing()
    if verdict.kind == "nondeterministic":
        return endings.nondeterministic()
    if verdict.kind == "state" and verdict.reason is not None:
        return endings.state(verdict.reason, model)
    raise NoReproducer(
        f"there is no script for {verdict.kind!r} of the property {verdict.property!r}: {verdict.reason}"
    )


def _versions(report: Report) -> str:
    found = report.problem.versions
    return ", ".join(f"{name} {number}" for name, number in found.items() if name != "jaccheck")


def _tried(source: str) -> str:
    status, said = run(source)
    if status != 1:
        raise NoReproducer(f"outside of jaccheck it doesn't show: {said}")
    return source


def run(source: str) -> tuple[object, str]:
    """The exit status of a script, run in this process, and what it says."""
    said = io.StringIO()
    threads = torch.get_num_threads()
    with contextlib.redirect_stdout(said), warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
        warnings.simplefilter("ignore")
        try:
            exec(compile(source, "<reproducer>", "exec"), {"__name__": "__main__"})
        except SystemExit as end:
            return end.code, said.getvalue()
        except Exception as error:
            return None, f"{said.getvalue()}{type(error).__name__}: {error}"
        finally:
            torch.set_num_threads(threads)
    return 0, said.getvalue()
