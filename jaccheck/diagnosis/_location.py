"""Where the wrong elements are, if they are all in one place, and what is elsewhere is right and not zero."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from jaccheck.diagnosis._evidence import Evidence
from jaccheck.diagnosis._shape import Likeness

Masks = dict[str, Tensor]
LISTED = 4


def location(evidence: Evidence) -> tuple[Likeness, Masks] | None:
    """In which layer, parameter, unit, sample or class alone, and the elements there."""
    masks = {name: torch.ones_like(mask) for name, mask in evidence.outside.items()}
    found: list[Likeness] = []
    for place in (_layer, _unit, _sample, _class):
        there = place(evidence)
        if there is not None:
            found.append(there[0])
            masks = {name: mask & there[1][name] for name, mask in masks.items()}
    if not found:
        return None
    return Likeness(found[0].shape, ", ".join(likeness.words for likeness in found)), masks


def _layer(evidence: Evidence) -> tuple[Likeness, Masks] | None:
    """One layer, or one of its parameters."""
    wrong = evidence.wrong
    layers = {name.rpartition(".")[0] for name in wrong}
    if len(layers) > 1:
        return None
    (layer,) = layers
    for here, words, shape in (
        (wrong[:1], f"in {wrong[0]!r} alone", "one parameter only"),
        ([n for n in evidence.got if n.rpartition(".")[0] == layer], f"in layer {layer!r} alone", "one layer only"),
    ):
        masks = {name: torch.full_like(mask, name in here) for name, mask in evidence.outside.items()}
        if set(wrong) <= set(here) and _proper(evidence, masks):
            return Likeness(shape, words), masks
    return None


def _unit(evidence: Evidence) -> tuple[Likeness, Masks] | None:
    """One unit of a layer, or some."""
    wrong = evidence.wrong
    if len({name.rpartition(".")[0] for name in wrong}) > 1 or any(evidence.got[name].dim() < 3 for name in wrong):
        return None
    return _along(evidence, 2, "unit", wrong)


def _sample(evidence: Evidence) -> tuple[Likeness, Masks] | None:
    return _along(evidence, 0, "sample", list(evidence.got))


def _class(evidence: Evidence) -> tuple[Likeness, Masks] | None:
    return _along(evidence, 1, "class", list(evidence.got))


def _along(evidence: Evidence, axis: int, what: str, names: list[str]) -> tuple[Likeness, Masks] | None:
    """Some indices of an axis, of the parameters called `names`."""
    sizes = {evidence.got[name].shape[axis] for name in names}
    if len(sizes) > 1:
        return None
    (size,) = sizes
    hit = sorted({i for name in names for i in evidence.outside[name].nonzero()[:, axis].tolist()})
    words = _listed(hit, size, what)
    if words is None:
        return None
    masks = {}
    for name, mask in evidence.outside.items():
        masks[name] = torch.zeros_like(mask)
        if name in names:
            masks[name].movedim(axis, 0)[hit] = True
    # within these parameters there has to be something else
    among = {name: mask | (name not in names) for name, mask in masks.items()}
    if not _proper(evidence, among):
        return None
    return Likeness(f"one {what} only" if len(hit) == 1 else f"some {_plural(what)} only", words), masks


def _listed(hit: list[int], size: int, what: str) -> str | None:
    """In words, if it takes few."""
    if len(hit) == size:
        return None
    if len(hit) == 1:
        return f"in {what} {hit[0]} alone"
    run = hit[-1] - hit[0] == len(hit) - 1
    if run and hit[-1] == size - 1:
        return f"in {_plural(what)} from {hit[0]} on alone"
    if run:
        return f"in {_plural(what)} {hit[0]} to {hit[-1]} alone"
    return f"in {_plural(what)} {', '.join(map(str, hit))} alone" if len(hit) <= LISTED else None


def _plural(what: str) -> str:
    return "classes" if what == "class" else f"{what}s"


def _proper(evidence: Evidence, masks: Masks) -> bool:
    """Whether something outside of the masks is known not to be zero."""
    others: Iterator[Tensor] = (
        (evidence.balls[name].centre.abs() > evidence.balls[name].radius) & evidence.among[name] & ~mask
        for name, mask in masks.items()
    )
    return any(bool(other.any()) for other in others)
