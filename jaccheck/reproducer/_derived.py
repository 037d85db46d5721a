"""The problem that shows it: the one that was checked, or one that a property has made from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from jaccheck._problem import Problem, admit
from jaccheck._report import ForwardFinding, Verdict
from jaccheck.diagnosis import Failing, failing, fails
from jaccheck.judging.case import Case
from jaccheck.judging.judge import Judge
from jaccheck.paths import Path, get
from jaccheck.properties import PROPERTIES, WithCases, WithVariants
from jaccheck.reproducer._errors import NoReproducer

Shown = tuple[nn.Module, Tensor, Verdict, int | None]


def derived(model: nn.Module, x: Tensor, verdict: Verdict, seed: int | None) -> Shown:
    """A model, an input, what is wrong with it, by the path alone and in one call, and the seed that it needs.

    Raises:
        NoReproducer: none of the property's problems shows it.
    """
    law = PROPERTIES.get(verdict.property)
    if verdict.property == "exact" or verdict.kind in ("state", "nondeterministic") or not isinstance(law, WithCases):
        return model, x, verdict, seed
    path = get(verdict.path)
    found = failing(admit(model, x, seed=seed), path, verdict)
    if found is None:
        raise NoReproducer(f"no single call shows what the property {verdict.property!r} says")
    found = _narrowed(found, path, _shown(found, verdict))
    return found.problem.model, found.problem.x, _shown(found, verdict), found.problem.seed


def misvalued(model: nn.Module, x: Tensor, found: ForwardFinding, seed: int | None) -> tuple[Problem, ForwardFinding]:
    """The problem whose own values are wrong, and where on it.

    Raises:
        NoReproducer: none of the property's problems shows it.
    """
    problem, law = admit(model, x, seed=seed), PROPERTIES.get(found.property)
    if not isinstance(law, WithVariants):
        return problem, found
    other = law.misvalued(problem)
    whole = None if other is None else Judge(other).wrong_forward()
    if other is None or whole is None:
        raise NoReproducer(f"no model that the property {found.property!r} makes shows it a second time")
    if found.property == "every_input":
        alone = _with_one_argument(other, whole.index)
        narrowed = Judge(alone).wrong_forward()
        if narrowed is not None:
            return alone, narrowed
    return other, whole


def _shown(found: Failing, verdict: Verdict) -> Verdict:
    """The verdict, with the place and the numbers on the problem that was found."""
    worst = None if found.evidence is None else found.evidence.worst()
    if worst is None:
        return replace(verdict, parameter=found.parameter)
    return replace(verdict, shape=tuple(found.problem.parameters[worst.parameter].shape), **vars(worst))


def _narrowed(whole: Failing, path: Path, verdict: Verdict) -> Failing:
    """Of a problem with all arguments of a 16-bit dtype the one at fault, if it is at fault by itself, too."""
    if verdict.property != "every_input" or verdict.index is None:
        return whole
    return fails(Case(_with_one_argument(whole.problem, verdict.index)), path, verdict) or whole


def _with_one_argument(problem: Problem, index: tuple[int, ...]) -> Problem:
    """Of all arguments that an activation has in `problem` the one at an index of the Jacobian, or of its value."""
    n, *_, i = index
    activation = problem.model.get_submodule("1")
    argument = problem.x[n, 0] if problem.N > 1 else problem.parameters["0.bias"][i]
    linear = nn.Linear(1, 1).to(problem.x)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(argument)
    return admit(nn.Sequential(linear, activation), torch.zeros_like(problem.x[:1, :1]))
