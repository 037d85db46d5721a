"""A problem changed a little, in a way of which the Jacobian's change is known: what is run, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._problem import Problem
from jaccheck._report import ForwardFinding, Verdict
from jaccheck.enclosure import Oracle
from jaccheck.judging.case import Case
from jaccheck.judging.form import malformed
from jaccheck.judging.judge import Comparison, Judge
from jaccheck.judging.trial import Run, Trial
from jaccheck.paths import Path, mode, rounding
from jaccheck.properties.enclosure import Enclosure, begun

ITSELF = "the problem itself it does"
PASSES = 2**11  # for each parameter one, of a path that goes forward, in a variant that is larger than the problem
KEPT = 2**20  # entries of a problem's Jacobians up to which its variants are kept for the next path


@dataclass(frozen=True, eq=False)
class Take:
    """Rows of one call's Jacobian, and the samples of the problem whose rows they should be."""

    problem: Problem | None  # None: the very one that the variant is made from
    rows: Sequence[int]
    samples: Sequence[int]


@dataclass(frozen=True, eq=False)
class Variant:
    """Calls from which the rows of a Jacobian are put together that lies in a known enclosure."""

    words: str
    takes: Sequence[Take]
    judge: Judge | None = None
    """Of the problem whose Jacobian it should be; None: the one that the variant was made from."""
    where: Callable[[tuple[int, ...]], str] = lambda index: ""
    """What stands at an index ``(n, c, …)`` of the Jacobian, or ``(n, …)`` of a value, in words."""
    prefix: str = ""
    """What stands before the names of the model's parameters in those of the judge's."""
    alike: bool = False
    """Whether a path that does the problem has to do this, too: the layers are the same, and no number is infinite."""


class Varied:
    """A law of which variants a problem has, and that each path gives each of them right."""

    name: str
    cheap = False
    changes = "batch"
    """What of the problem is another one in its variants."""
    itself = True
    """The problem's own Jacobian comes first: where that is wrong, or unknown, a variant has nothing to add."""
    nothing = "the problem has no variants"
    """Why there is nothing to judge, where there isn't."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Problem, list[Variant | InvalidProblem]] = WeakKeyDictionary()

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        """How to make each variant of `problem`; InvalidProblem says why there isn't one, Unsupported why none."""
        raise NotImplementedError

    def variants(self, problem: Problem) -> Iterable[Variant | InvalidProblem]:
        """Those of `problem`, or why its model doesn't take them."""
        if problem.elements > KEPT:
            return self._made(problem)
        if problem not in self._kept:
            self._kept[problem] = list(self._made(problem))
        return self._kept[problem]

    def _made(self, problem: Problem) -> Iterator[Variant | InvalidProblem]:
        if problem.seed is not None and self.itself:
            yield InvalidProblem(f"layers of chance draw other numbers for another {self.changes}")
            return
        try:
            makes = list(self.made(problem))
        except Unsupported as error:
            yield InvalidProblem(str(error))
            return
        for make in makes:
            try:
                yield make()
            except InvalidProblem as error:
                yield error

    def asked(self, problem: Problem, path: Path) -> Iterator[Variant | InvalidProblem]:
        """`variants`, but for those that take `path` more than `PASSES`."""
        most = max(PASSES, problem.size) if mode(path) == "forward" else inf
        for variant in self.variants(problem):
            sizes = () if isinstance(variant, InvalidProblem) else ((t.problem or problem).size for t in variant.takes)
            if all(size <= most for size in sizes):
                yield variant

    def cases(self, problem: Problem, path: Path) -> Iterator[Case]:
        """Each call of each variant, but where the model's own values are wrong: then no path is to be judged."""
        seen: dict[Problem, set[int]] = {}
        oracles: dict[Problem, Oracle | None] = {}
        for variant in self.asked(problem, path):
            if isinstance(variant, InvalidProblem) or (variant.judge is not None and variant.judge.forward is not None):
                continue
            if variant.judge is not None:
                oracles[variant.judge.problem] = variant.judge.oracle
            for take in variant.takes:
                seen.setdefault(take.problem or problem, set()).update(take.rows)
        yield from (Case(one, sorted(rows), oracle=oracles.get(one)) for one, rows in seen.items())

    def misvalued(self, problem: Problem) -> Problem | None:
        """The first model of a variant whose own values are wrong, at its input; None if all are right."""
        for variant in self.variants(problem):
            judge = variant.judge if isinstance(variant, Variant) else None
            if judge is not None and judge.forward is not None:
                return judge.problem
        return None

    def of(self, trial: Trial, problem: Problem) -> Verdict | None:
        """The first variant with a call for `problem` that disagrees; None if none does."""
        for variant in self.asked(trial.problem, trial.path):
            if isinstance(variant, Variant) and any((t.problem or trial.problem) is problem for t in variant.takes):
                found = _judged(trial, variant, self.name)
                if found.status == "disagrees":
                    return found
        return None

    def judge(self, trial: Trial) -> Verdict:
        """The first variant that disagrees, or that all agree but those that the path refuses.

        To refuse one of those that are like the problem itself, which the path does, is to disagree.
        """
        if self.itself:
            own = Enclosure().judge(trial)
            if own.status != "agrees":
                return begun(own, self.name)
            verdict = replace(own, property=self.name)
        else:
            verdict = Verdict(trial.path.name, "vacuous", property=self.name, reason=self.nothing)
        judged, refused, nothing = 0, [], self.nothing
        for variant in self.asked(trial.problem, trial.path):
            if isinstance(variant, InvalidProblem):
                nothing = str(variant)
                continue
            found = _judged(trial, variant, self.name)
            if trial.judge.forward is None and variant.judge is not None:
                trial.judge.forward = self._forward(variant, variant.judge.forward)
            if found.status == "disagrees":
                return found
            if found.status == "unsupported" and variant.alike:
                return replace(found, status="disagrees", kind="raised", reason=f"{found.reason}; {ITSELF}")
            if found.status == "unsupported":
                refused.append(found)
            else:
                judged += 1
                if not self.itself:
                    verdict = _joined(verdict, found)
        if judged and refused and verdict.reason is None:
            several = f"refused {len(refused)} of {judged + len(refused)} variants"
            return replace(verdict, reason=f"{several}: {refused[0].reason}")
        if judged:
            return verdict
        return refused[0] if refused else replace(verdict, status="vacuous", reason=nothing)

    def _forward(self, variant: Variant, found: ForwardFinding | None) -> ForwardFinding | None:
        """What is wrong with the variant's own values, as what the property saw."""
        if found is None:
            return None
        return replace(found, property=self.name, variant=_said(variant, found.index))


def _joined(verdict: Verdict, other: Verdict) -> Verdict:
    """Of several variants that don't disagree, what is to be said of all."""
    if verdict.status == "vacuous" and not verdict.elements:
        return other
    return replace(
        verdict,
        status="agrees" if "agrees" in (verdict.status, other.status) else "vacuous",
        reason=None if "agrees" in (verdict.status, other.status) else verdict.reason,
        elements=verdict.elements + other.elements,
        vacuous=verdict.vacuous + other.vacuous,
        seconds=(verdict.seconds or 0.0) + (other.seconds or 0.0),
    )


def _judged(trial: Trial, variant: Variant, law: str) -> Verdict:
    judge = variant.judge or trial.judge
    path, seconds = trial.path, 0.0
    jacobian: dict[str, Tensor] = {}
    runs: dict[Problem | None, Run] = {}

    def verdict(status: str, kind: str | None = None, **facts: Any) -> Verdict:
        return Verdict(path.name, status, kind, law, seconds=seconds, **facts)

    for take in variant.takes:
        problem = take.problem or trial.problem
        if take.problem not in runs:
            runs[take.problem] = trial.run if take.problem is None else Trial(take.problem, path, judge).run
        run = runs[take.problem]
        seconds += run.seconds
        if run.changes and not trial.run.changes:  # else the state is wrong without any variant
            return verdict("disagrees", "state", reason=f"{variant.words}: {run.changes[0]}")
        if run.unsupported is not None:
            return verdict("unsupported", reason=f"{variant.words}: {run.unsupported}")
        if run.raised is not None:
            return verdict("disagrees", "raised", reason=f"{variant.words}: {run.exception}")
        fault = malformed(problem, run.jacobian)
        if fault is not None:
            shape = None if fault.parameter is None else tuple(problem.parameters[fault.parameter].shape)
            name = None if fault.parameter is None else fault.parameter.removeprefix(variant.prefix)
            reason = f"{variant.words}: {fault.reason}"
            return verdict("disagrees", fault.kind, reason=reason, parameter=name, shape=shape)
        for key, j in run.jacobian.items():
            if len(variant.takes) == 1 and list(take.samples) == list(range(len(j))) == list(take.rows):
                jacobian[key] = j
                continue
            if key not in jacobian:
                jacobian[key] = j.new_empty(judge.problem.N, *j.shape[1:])
            jacobian[key][list(take.samples)] = j[list(take.rows)]
    entries = sum(j.numel() for j in jacobian.values())
    if judge.reason is not None:
        return verdict("vacuous", reason=judge.reason, elements=entries, vacuous=entries)
    found = judge.compare(jacobian, rounding(path))
    if found.doubt is not None:
        return verdict("vacuous", reason=found.doubt, elements=entries, vacuous=entries)
    if found.worst is not None:
        return verdict("disagrees", "value", elements=entries, **_worst(found, variant, judge.problem))
    if entries and found.vacuous == entries:
        return verdict("vacuous", reason="nothing is known of any element", elements=entries, vacuous=entries)
    known = max(found.resolutions.values(), default=None)
    return verdict("agrees", elements=entries, vacuous=found.vacuous, resolution=known, resolutions=found.resolutions)


def _said(variant: Variant, index: tuple[int, ...]) -> str:
    return ", ".join(filter(None, (variant.words, variant.where(index))))


def _worst(found: Comparison, variant: Variant, problem: Problem) -> dict[str, Any]:
    assert found.worst is not None
    ratio, name, index, got, centre, radius = found.worst
    return {
        "reason": _said(variant, index),
        "parameter": name.removeprefix(variant.prefix),
        "shape": tuple(problem.parameters[name].shape),
        "index": index,
        "got": got,
        "centre": centre,
        "radius": radius,
        "ratio": ratio,
        "outside": found.outside,
        "vacuous": found.vacuous,
    }
