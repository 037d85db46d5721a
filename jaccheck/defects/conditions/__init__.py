"""The conditions of the register: each says of which elements of a Jacobian a defect is the explanation.

A condition is narrow: it explains an element only if what the path gives is what follows from the defect. Some work
this out by `Emulation`, which also holds where several defects meet in one element; others look for what isn't finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from jaccheck.defects.conditions import emulation, finiteness, onednn, raising, sharing, value
from jaccheck.defects.conditions.emulation import Emulation as Emulation
from jaccheck.defects.conditions.emulation import explained_by as explained_by
from jaccheck.defects.scene import Scene
from jaccheck.judging.case import Masks

EMULATIONS: dict[str, Callable[..., Emulation]] = {
    "derivative": emulation.Derivative,
    "multiplied": emulation.Multiplied,
    "overwritten": sharing.Overwritten,
    "doubled": sharing.Doubled,
}
"""What a path does instead of what it should: it makes an `Emulation` of an entry's arguments."""
MASKS: dict[str, Callable[..., Masks]] = {
    "overflow": finiteness.overflow,
    "other_sample_not_finite": finiteness.other_sample_not_finite,
    "own_sample_not_finite": finiteness.own_sample_not_finite,
    "nan_by_onednn": onednn.nan_by_onednn,
}
"""Where a path may be as it is: it is called with the scene and an entry's arguments."""
BACKWARD = ("overflow",)
"""Those that depend on the backward pass: behind an emulation they may hold elsewhere."""
RAISING = {"raises": raising.raises}
"""Whether a path may raise what it raises."""
FORWARDS: dict[str, Callable[..., bool]] = {
    "nan_forward_by_onednn": onednn.nan_forward_by_onednn,
    "value": value.value,
}
"""Whether the model's own output may be what it is."""


def explained(scene: Scene, condition: str, *, behind: Sequence[Emulation] = (), **arguments: object) -> Masks:
    """Which elements the condition explains by itself, or in a backward pass that is already changed."""
    if condition in EMULATIONS:
        return explained_by([EMULATIONS[condition](**arguments)], scene)
    with ExitStack() as stack:
        for emulation in behind:
            stack.enter_context(emulation.changing(scene))
        return MASKS[condition](scene, **arguments)
