"""What an error looks like: statements about all elements of a Jacobian, each of which has been proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck.diagnosis._calls import accumulates, doubled
from jaccheck.diagnosis._evidence import Evidence as Evidence
from jaccheck.diagnosis._evidence import scaled
from jaccheck.diagnosis._failing import Failing as Failing
from jaccheck.diagnosis._failing import evidence_of
from jaccheck.diagnosis._failing import failing as failing
from jaccheck.diagnosis._failing import fails as fails
from jaccheck.diagnosis._location import Masks, location
from jaccheck.diagnosis._places import (
    permuted_classes,
    permuted_inputs,
    permuted_samples,
    permuted_units,
    samples_for_classes,
    summed,
    transposed,
)
from jaccheck.diagnosis._scaling import factor, sign
from jaccheck.diagnosis._shape import Likeness as Likeness
from jaccheck.diagnosis._shape import family as family
from jaccheck.diagnosis._shape import listed
from jaccheck.diagnosis._values import (
    computed,
    finite_for_not_finite,
    flushed,
    inaccurate,
    infinite_for_finite,
    nan_for_finite,
    rounded,
    zeros,
)
from jaccheck.judging.case import Case
from jaccheck.judging.trial import Trial

MOST_ELEMENTS = 2**22
"""Of a Jacobian that is looked at as a whole: 64 MB for its balls."""

Shape = Callable[[Evidence], Likeness | None]
OF_VALUES: tuple[Shape, ...] = (
    nan_for_finite,
    infinite_for_finite,
    finite_for_not_finite,
    flushed,
    rounded,
    computed,
    zeros,
    sign,
    factor,
)
"""In the order in which they are tried: what says most first."""
OF_PLACES: tuple[Shape, ...] = (
    transposed,
    samples_for_classes,
    permuted_samples,
    permuted_classes,
    permuted_units,
    permuted_inputs,
    summed,
    inaccurate,
)
"""Tried behind the others, also where these hold in one place alone: among many rows some other may fit by chance."""
OF_WHAT_IS_WRONG = (nan_for_finite, infinite_for_finite, finite_for_not_finite, flushed, zeros, inaccurate)
"""Those that say nothing of the elements that are right."""
OF_ROUNDING = (flushed, rounded, computed, zeros, inaccurate)
"""Those for errors no larger than what the other shapes leave to rounding, so that any of them would fit."""
OF_THE_PROBLEM = ("enclosure", "exact")
"""Properties that judge the path's first result, and none of another problem."""


def likeness(evidence: Evidence) -> Likeness | None:
    """The first shape that fits all elements, or else all in the place where something is wrong; None if none fits."""
    place = location(evidence)
    by_rounding = evidence.fits(lambda ball: scaled(ball, 1.0, evidence.dtype))
    for shapes in (OF_ROUNDING,) if by_rounding else (OF_VALUES, OF_PLACES):
        for shape in shapes:
            found = shape(evidence)
            if found is not None:
                return found if place is None or shape not in OF_WHAT_IS_WRONG else _there(found, place[0])
        within = None if by_rounding else place or (_wrong_parameters(evidence) if shapes is OF_VALUES else None)
        if within is None:
            continue
        here = evidence.only(within[1])
        found = next(filter(None, (shape(here) for shape in shapes if shape not in OF_WHAT_IS_WRONG)), None)
        if found is not None:
            return _there(found, within[0])
    return None if place is None else place[0]


def _wrong_parameters(evidence: Evidence) -> tuple[Likeness, Masks] | None:
    """Those in which something is wrong, if not in all: what the others hold may be right, or unknown."""
    wrong = evidence.wrong
    if len(wrong) == len(evidence.got):
        return None
    masks = {name: torch.full_like(mask, name in wrong) for name, mask in evidence.outside.items()}
    return Likeness("", f"of {listed(wrong)}"), masks


def _there(found: Likeness, place: Likeness) -> Likeness:
    return Likeness(found.shape, f"{found.words}, {place.words}")


def diagnosed(trial: Trial, verdict: Verdict) -> Verdict:
    """A verdict that says in words what the error looks like, where it fits a shape."""
    found = _likeness(trial, verdict)
    return verdict if found is None else replace(verdict, error_shape=found.shape, looks_like=found.words)


def _likeness(trial: Trial, verdict: Verdict) -> Likeness | None:
    if verdict.elements > MOST_ELEMENTS:
        return None
    problem, path = trial.problem, trial.path
    if verdict.kind == "nondeterministic":
        return None if trial.latest is None else doubled(trial.run.jacobian, trial.latest.jacobian)
    if verdict.property == "sequence":
        return accumulates(problem, path) if verdict.kind == "value" else None
    if verdict.kind == "shape" and verdict.parameter is not None:
        if verdict.property in OF_THE_PROBLEM:
            return _misshapen(trial.problem, verdict.parameter, trial.run.jacobian)
        found = failing(problem, path, verdict)
        if found is None or found.parameter is None:
            return None
        return _misshapen(found.problem, found.parameter, found.jacobian)
    if verdict.kind != "value":
        return None
    if verdict.property in OF_THE_PROBLEM:
        evidence = evidence_of(Case(problem), path, verdict.property, trial.run.jacobian, trial.judge.oracle)
    else:
        found = failing(problem, path, verdict)
        evidence = None if found is None else found.evidence
    return None if evidence is None or evidence.worst() is None else likeness(evidence)


def _misshapen(problem: Problem, parameter: str, jacobian: Any) -> Likeness | None:
    """Axes in another order."""
    j, p = jacobian.get(parameter), problem.parameters[parameter]
    expected = (problem.N, problem.C, *p.shape)
    if isinstance(j, Tensor) and not j.is_nested and j.shape != expected:
        if j.shape == (expected[1], expected[0], *p.shape):
            return Likeness("transposed axes", "transposed: the axes N and C are swapped")
        if j.shape == (*expected[:2], *reversed(p.shape)):
            return Likeness("transposed axes", f"transposed: the axes of {parameter!r} are swapped")
    return None
