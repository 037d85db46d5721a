"""The problem on which a path is wrong: the one at hand, or one that a property has made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaccheck._errors import Unsupported
from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck.diagnosis._evidence import Evidence
from jaccheck.enclosure import Oracle
from jaccheck.judging.case import Case
from jaccheck.judging.form import malformed
from jaccheck.judging.trial import called
from jaccheck.paths import Path
from jaccheck.properties import PROPERTIES, WithCases
from jaccheck.properties.exact import Exact


@dataclass(frozen=True, eq=False)
class Failing:
    """One problem that shows what a verdict says in a single call of the path."""

    problem: Problem
    evidence: Evidence | None = None
    """Of values."""
    parameter: str | None = None
    """Whose Jacobian is malformed."""
    jacobian: Any = None
    """What came out, if that is malformed."""


def failing(problem: Problem, path: Path, verdict: Verdict) -> Failing | None:
    """The problem of the verdict's property on which the path fails as it says; None if a single call doesn't.

    It is the first one with the verdict's own numbers, or else the first one.
    """
    law, first = PROPERTIES.get(verdict.property), None
    for case in law.cases(problem, path) if isinstance(law, WithCases) else [Case(problem)]:
        found = fails(case, path, verdict)
        if found is not None and _is_of(verdict, found):
            return found
        first = first or found
    return first


def _is_of(verdict: Verdict, found: Failing) -> bool:
    """Whether the verdict tells of this one, as far as it has numbers: the parameter may have another name there."""
    worst = None if found.evidence is None else found.evidence.worst()
    if worst is None or verdict.got is None:
        return True
    numbers = [(repr(said.got), repr(said.centre)) for said in (verdict, worst)]
    return numbers[0] == numbers[1]


def fails(case: Case, path: Path, verdict: Verdict) -> Failing | None:
    """Whether the path fails as the verdict says on the problem of `case`, in one call."""
    problem = case.problem
    run = called(path, problem)
    if run.raised is not None:
        return Failing(problem) if verdict.kind == "raised" and run.unsupported is None else None
    fault = malformed(problem, run.jacobian)
    if fault is not None:
        if fault.kind != verdict.kind:
            return None
        return Failing(problem, parameter=fault.parameter, jacobian=run.jacobian)
    if verdict.kind != "value":
        return None
    evidence = evidence_of(case, path, verdict.property, run.jacobian)
    return None if evidence is None or evidence.worst() is None else Failing(problem, evidence)


def evidence_of(case: Case, path: Path, law: str, jacobian: Any, oracle: Oracle | None = None) -> Evidence | None:
    """The Jacobian beside the enclosure, or beside the exact one where that is what the law is about.

    Who has the problem's oracle at hand passes it.
    """
    exact = PROPERTIES[law]
    sharp = exact.oracle(case.problem) if isinstance(exact, Exact) else oracle
    if isinstance(sharp, str):
        return None
    try:
        return Evidence.of(case.problem, path, jacobian, case.samples, sharp, exact=isinstance(exact, Exact))
    except Unsupported:
        return None
