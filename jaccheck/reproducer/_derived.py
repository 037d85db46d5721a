"""The problem that shows it: the one that was checked, or one that a property has made from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck._problem import Problem, admit
from jaccheck._report import Verdict
from jaccheck.diagnosis._evidence import Evidence, Worst
from jaccheck.paths import Path, get
from jaccheck.properties import PROPERTIES, WithCases
from jaccheck.properties._case import Case
from jaccheck.properties._form import malformed
from jaccheck.properties._trial import Run, called
from jaccheck.reproducer._errors import NoReproducer

Shown = tuple[nn.Module, Tensor, Verdict]


def derived(model: nn.Module, x: Tensor, verdict: Verdict) -> Shown:
    """A model, an input and what is wrong with it, by the path alone and in one call.

    Raises:
        NoReproducer: none of the property's problems shows it.
    """
    law = PROPERTIES.get(verdict.property)
    if verdict.property == "exact" or verdict.kind in ("state", "nondeterministic") or not isinstance(law, WithCases):
        return model, x, verdict
    path = get(verdict.path)
    for case in law.cases(admit(model, x), path):
        found = _again(case, path, verdict)
        if found is not None:
            return _narrowed(case.problem, path, found)
    raise NoReproducer(f"no single call shows what the property {verdict.property!r} says")


def _again(case: Case, path: Path, verdict: Verdict) -> Verdict | None:
    """What is wrong with the path on this problem, if it is of the verdict's kind."""
    problem = case.problem
    run = called(path, problem.model, problem.x, problem.before)
    if run.raised is not None:
        return verdict if verdict.kind == "raised" and run.unsupported is None else None
    fault = malformed(problem, run.jacobian)
    if fault is not None:
        return replace(verdict, parameter=fault.parameter) if fault.kind == verdict.kind else None
    worst = _worst(case, path, run) if verdict.kind == "value" else None
    if worst is None:
        return None
    shape = tuple(problem.parameters[worst.parameter].shape)
    return replace(verdict, shape=shape, **vars(worst))


def _worst(case: Case, path: Path, run: Run) -> Worst | None:
    try:
        return Evidence.of(case.problem, path, run.jacobian, case.samples).worst()
    except Unsupported:
        return None


def _narrowed(problem: Problem, path: Path, verdict: Verdict) -> Shown:
    """Of a problem with all arguments of a 16-bit dtype the one at fault, if it is at fault by itself, too."""
    whole = problem.model, problem.x, verdict
    if verdict.property != "every_input" or verdict.index is None:
        return whole
    n, _, i = verdict.index
    activation = problem.model.get_submodule("1")
    argument = problem.x[n, 0] if problem.N > 1 else problem.parameters["0.bias"][i]
    linear = nn.Linear(1, 1).to(problem.x)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(argument)
    alone = admit(nn.Sequential(linear, activation), torch.zeros_like(problem.x[:1, :1]))
    found = _again(Case(alone), path, verdict)
    return whole if found is None else (alone.model, alone.x, found)
