"""The problem that shows it: the one that was checked, or one that a property has made from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from jaccheck._problem import admit
from jaccheck._report import Verdict
from jaccheck.diagnosis import Failing, failing, fails
from jaccheck.judging.case import Case
from jaccheck.paths import Path, get
from jaccheck.properties import PROPERTIES, WithCases
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


def _shown(found: Failing, verdict: Verdict) -> Verdict:
    """The verdict, with the place and the numbers on the problem that was found."""
    worst = None if found.evidence is None else found.evidence.worst()
    if worst is None:
        return replace(verdict, parameter=found.parameter)
    return replace(verdict, shape=tuple(found.problem.parameters[worst.parameter].shape), **vars(worst))


def _narrowed(whole: Failing, path: Path, verdict: Verdict) -> Failing:
    """Of a problem with all arguments of a 16-bit dtype the one at fault, if it is at fault by itself, too."""
    problem = whole.problem
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
    return fails(Case(alone), path, verdict) or whole
