"""Whether a failure is a known defect, or several, and nothing else.

It is if every element outside the enclosure is explained by an entry of the register: a fault beside a known one is
none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

from torch import Tensor, nn

from jaccheck._check import judged
from jaccheck._errors import Unsupported
from jaccheck._finding import FORWARD, Failure, examined
from jaccheck._network import Network
from jaccheck._problem import Problem, admit
from jaccheck._report import Report, Verdict
from jaccheck._state import untouched
from jaccheck.defects.conditions import BACKWARD, EMULATIONS, FORWARDS, RAISING, Emulation, explained, explained_by
from jaccheck.defects.conditions.finiteness import beside_another
from jaccheck.defects.register import Defect, register
from jaccheck.defects.scene import Scene
from jaccheck.judging.case import Case, Masks
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path, get
from jaccheck.properties import PROPERTIES, WithCases, WithVariants


def known(
    failure: Failure,
    model: nn.Module,
    x: Tensor,
    defects: Sequence[Defect] | None = None,
    *,
    seed: int | None = None,
) -> tuple[Defect, ...]:
    """The defects of the register that together are the whole of `failure` on this problem; none if it is more.

    The `seed` is that of the check.
    """
    suspects = _Suspects.of(failure, register() if defects is None else defects)
    if not suspects.defects:
        return ()
    with untouched(model, x):
        problem = admit(model, x, seed=seed)
        if failure.path == FORWARD:
            law = PROPERTIES.get(failure.property)
            wrong = law.misvalued(problem) if isinstance(law, WithVariants) else problem
            held = (d for d in suspects.defects if wrong and FORWARDS[d.when["condition"]](wrong, **d.arguments()))
            return tuple(held)[:1]
        return _explanation(failure, problem, get(failure.path), suspects).defects


def known_of(trial: Trial, verdict: Verdict) -> tuple[tuple[Defect, ...], Verdict | None]:
    """As `known`, in the middle of a check, which has the path's Jacobian and the enclosure at hand.

    If the defects explain what the verdict shows, but not all of the failure, then there is one that shows the rest.
    """
    failure = Failure.of(verdict)
    own = trial.cases.get(failure.property, {})
    judged = failure._replace(property="enclosure") if own else failure  # by which they are judged
    suspects = _Suspects.of(judged, register(), trial)
    if not suspects.defects:
        return (), None
    try:
        found = _explanation(failure, trial.problem, trial.path, suspects, list(own))
        law, rest = PROPERTIES.get(failure.property), None
        if found.rest is not None and isinstance(law, WithVariants):
            rest = law.of(trial, found.rest.problem)
        elif found.rest is not None:
            rest = own.get(found.rest)
        return found.defects, rest if rest is not None and Failure.of(rest) == failure else None
    finally:
        trial.problem.before.restore()


class _Suspects(NamedTuple):
    """What may explain a failure."""

    defects: list[Defect]
    """Those that may be it."""
    raising: list[Defect]
    """Those that may make the path raise in another of its cases."""
    trial: Trial | None
    """What it has at hand isn't done again."""

    @classmethod
    def of(cls, failure: Failure, defects: Sequence[Defect], trial: Trial | None = None) -> _Suspects:
        raised = failure._replace(kind="raised")
        return cls([d for d in defects if d.concerns(failure)], [d for d in defects if d.concerns(raised)], trial)


class Examined(NamedTuple):
    """A network's check, and which of its failures are known defects."""

    report: Report
    failures: dict[Failure, Report]
    """Each with the report that shows it."""
    known: dict[Failure, tuple[Defect, ...]]


def looked_up(
    network: Network,
    paths: Sequence[str],
    properties: Sequence[str],
    *,
    known_too: bool = True,
    images: bool = False,
    words: bool = True,
) -> Examined:
    """Check `network`, as `examined` does, and look its failures up in the register.

    Without `known_too` that is left out, and none is known.
    """
    lookup = _Lookup()
    when_wrong = lookup if known_too else None
    report, failures = examined(network, paths, properties, images=images, words=words, when_wrong=when_wrong)
    found = lookup.found
    for failure in failures if known_too else ():
        if failure.path == FORWARD:
            found[failure] = known(failure, *network.build(), seed=network.seed)
    return Examined(report, failures, {failure: defects for failure, defects in found.items() if defects})


class _Lookup:
    """Looks up what is wrong in the middle of a check."""

    def __init__(self) -> None:
        self.found: dict[Failure, tuple[Defect, ...]] = {}
        """For each failure of a path what `known` says."""

    def __call__(self, trial: Trial, verdict: Verdict) -> Verdict | None:
        failure, rest = Failure.of(verdict), None
        if failure not in self.found:  # several properties begin with the enclosure
            self.found[failure], rest = known_of(trial, verdict)
        return rest


class Told(NamedTuple):
    """A check, and with whom nothing is wrong but what is known."""

    report: Report
    known: dict[str, tuple[Defect, ...]]
    """For each such path, and `FORWARD`, the defects that are all of it."""


def told(model: nn.Module, x: Tensor, *, seed: int | None = None, **options: Any) -> Told:
    """As `jaccheck.check`, with what the register says of all that each property finds."""
    lookup = _Lookup()
    report = judged(model, x, seed=seed, when_wrong=lookup, **options).report
    by_path: dict[str, list[tuple[Defect, ...]]] = defaultdict(list)
    for failure, defects in lookup.found.items():
        by_path[failure.path].append(defects)
    if report.forward is not None:
        by_path[FORWARD] = [known(Failure(FORWARD, FORWARD, "value"), model, x, seed=seed)]
    return Told(report, {path: tuple(dict.fromkeys(chain(*found))) for path, found in by_path.items() if all(found)})


class _Explained(NamedTuple):
    """What the register says of a failure."""

    defects: tuple[Defect, ...]
    """Those that together are the whole of it; none if it is more."""
    rest: Case | None = None
    """The first of its cases that isn't explained, if one before it is."""


def _explanation(
    failure: Failure, problem: Problem, path: Path, suspects: _Suspects, cases: Sequence[Case] = ()
) -> _Explained:
    """The defects that together are the whole of a path's `failure`.

    It rests on `cases`, if there are any, or else on those of its property.
    """
    law = PROPERTIES.get(failure.property)
    if not cases:
        cases = list(law.cases(problem, path)) if isinstance(law, WithCases) else [Case(problem)]
    try:
        if failure.kind == "raised":
            return _Explained(_raising(cases, path, suspects.defects))
        needed: dict[Defect, None] = {}
        for case in cases:
            found = _needed(case, path, suspects)
            if found is None:
                return _Explained((), case if needed else None)
            needed.update(dict.fromkeys(found))
        return _Explained(tuple(needed))
    finally:  # the next path is asked about the same problems
        for case in cases:
            case.problem.before.restore()


def _raising(cases: Sequence[Case], path: Path, defects: Sequence[Defect]) -> tuple[Defect, ...]:
    """The first defect that makes the path raise what it raises in one of the cases."""
    for defect in defects:
        raises = RAISING[defect.when["condition"]]
        if any(raises(case.problem, path, **defect.arguments()) for case in cases):
            return (defect,)
    return ()


def _needed(case: Case, path: Path, suspects: _Suspects) -> list[Defect] | None:
    """The defects that explain all that is wrong in `case`, if anything is; None if they don't."""
    try:
        scene = Scene(case, case.path or path, suspects.trial)
        left = scene.outside
    except Unsupported:
        return []
    except Exception:  # whatever it is
        return list(_raising([case], path, suspects.raising)) or None
    return _explaining(scene, suspects.defects, left)


def _explaining(scene: Scene, defects: Sequence[Defect], left: Masks) -> list[Defect] | None:
    """The defects that explain all that is `left`, of what is outside in `scene`; None if they don't."""
    needed: list[Defect] = []
    for defect in defects:
        if not _any(left):
            break
        left = _without(left, explained(scene, **defect.when), needed, [defect])
    if _any(left):
        left = _together(scene, defects, left, needed)
    if _any(left):
        left = _alone(scene, defects, left, needed)
    return None if _any(left) else needed


def _together(scene: Scene, defects: Sequence[Defect], left: Masks, needed: list[Defect]) -> Masks:
    """What is left when defects that meet in one element are emulated together, the fewest first."""
    emulated: list[tuple[Defect, Emulation]] = []
    for defect in defects:
        if defect.when["condition"] in EMULATIONS:
            emulation = EMULATIONS[defect.when["condition"]](**defect.arguments())
            if emulation.applies(scene):
                emulated.append((defect, emulation))
    behind = [defect for defect in defects if defect.when["condition"] in BACKWARD]
    for number in range(1, len(emulated) + 1):
        for some in combinations(emulated, number):
            together, emulations = [defect for defect, _ in some], [emulation for _, emulation in some]
            if number > 1 and _any(left):
                left = _without(left, explained_by(emulations, scene), needed, together)
            for defect in behind:
                if _any(left):
                    found = explained(scene, behind=emulations, **defect.when)
                    left = _without(left, found, needed, [*together, defect])
    return left


def _alone(scene: Scene, defects: Sequence[Defect], left: Masks, needed: list[Defect]) -> Masks:
    """What is left where NaN from another sample hides values that, for a sample alone, other defects explain."""
    spreading = [defect for defect in defects if defect.when["condition"] == "other_sample_not_finite"]
    if not spreading or scene.case.wrong is not None:
        return left
    others = [defect for defect in defects if defect not in spreading]
    for n in beside_another(scene):
        alone = scene.with_sample_alone(n)
        found = _explaining(alone, others, alone.outside)
        if found is not None:
            hidden = scene.nowhere()
            for name, mask in hidden.items():
                mask[n] = scene.nan[name][n]
            left = _without(left, hidden, needed, [*spreading, *found])
    return left


def _any(left: Masks) -> bool:
    return any(bool(mask.any()) for mask in left.values())


def _without(left: Masks, found: Masks, needed: list[Defect], defects: list[Defect]) -> Masks:
    """`left` without what has been `found`; if that is anything, `defects` are needed."""
    if any(bool((left[name] & found[name]).any()) for name in left):
        needed += [defect for defect in defects if defect not in needed]
    return {name: left[name] & ~found[name] for name in left}
