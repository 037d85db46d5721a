"""The conditions of the register: each says of which elements of a Jacobian a defect is the explanation.

A condition is narrow: it explains an element only if what the path gives is what follows from the defect. Some work
this out by `Emulation`, which also holds where several defects meet in one element; others look for what isn't finite.
"""

from __future__ import annotations

from collections.abc import Callable

from jaccheck.defects.conditions import emulation, finiteness, raising
from jaccheck.defects.conditions.emulation import Emulation as Emulation
from jaccheck.defects.conditions.emulation import explained_by as explained_by
from jaccheck.defects.conditions.raising import raises as raises
from jaccheck.defects.scene import Scene
from jaccheck.properties._case import Masks

EMULATIONS: dict[str, Callable[..., Emulation]] = {
    "derivative": emulation.Derivative,
    "overwritten": emulation.Overwritten,
}
"""What a path does instead of what it should: it makes an `Emulation` of an entry's arguments."""
MASKS: dict[str, Callable[..., Masks]] = {
    "overflow": finiteness.overflow,
    "other_sample_not_finite": finiteness.other_sample_not_finite,
    "own_sample_not_finite": finiteness.own_sample_not_finite,
}
"""Where a path may be as it is: it is called with the scene and an entry's arguments."""
RAISING = {"raises": raising.raises}
"""Whether a path may raise what it raises."""
CONDITIONS = (*EMULATIONS, *MASKS, *RAISING)


def explained(scene: Scene, condition: str, **arguments: object) -> Masks:
    """Which elements the condition explains by itself."""
    if condition in EMULATIONS:
        return explained_by([EMULATIONS[condition](**arguments)], scene)
    return MASKS[condition](scene, **arguments)
