"""Whether a failure is a known defect, or several, and nothing else.

It is if every element outside the enclosure is explained by an entry of the register: a fault beside a known one is
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck._finding import FORWARD, Failure
from jaccheck._problem import admit
from jaccheck._state import untouched
from jaccheck.defects.conditions import BACKWARD, EMULATIONS, FORWARDS, RAISING, Emulation, explained, explained_by
from jaccheck.defects.conditions.finiteness import beside_another
from jaccheck.defects.register import Defect, register
from jaccheck.defects.scene import Scene
from jaccheck.paths import Path, get
from jaccheck.properties import PROPERTIES, WithCases
from jaccheck.properties._case import Case, Masks


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
    concerned = [defect for defect in (register() if defects is None else defects) if defect.concerns(failure)]
    if not concerned:
        return ()
    with untouched(model, x):
        problem = admit(model, x, seed=seed)
        if failure.path == FORWARD:
            held = (d for d in concerned if FORWARDS[d.when["condition"]](problem, **d.arguments()))
            return tuple(held)[:1]
        path = get(failure.path)
        law = PROPERTIES.get(failure.property)
        cases = list(law.cases(problem, path)) if isinstance(law, WithCases) else [Case(problem)]
        if failure.kind == "raised":
            return _raising(cases, path, concerned)
        needed: dict[Defect, None] = {}
        for case in cases:
            found = _needed(case, path, concerned)
            if found is None:
                return ()
            needed.update(dict.fromkeys(found))
        return tuple(needed)


def _raising(cases: Sequence[Case], path: Path, defects: Sequence[Defect]) -> tuple[Defect, ...]:
    """The first defect that makes the path raise what it raises in one of the cases."""
    for defect in defects:
        raises = RAISING[defect.when["condition"]]
        if any(raises(case.problem, path, **defect.arguments()) for case in cases):
            return (defect,)
    return ()


def _needed(case: Case, path: Path, defects: Sequence[Defect]) -> list[Defect] | None:
    """The defects that explain all that is wrong in `case`, if anything is; None if they don't."""
    try:
        scene = Scene(case.problem, case.path or path, case)
        left = scene.outside
    except Unsupported:
        return []
    except Exception:  # whatever it is, no condition explains it
        return None
    return _explaining(scene, defects, left)


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
