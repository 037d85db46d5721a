"""The right numbers in the wrong places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

import torch
from torch import Tensor

from jaccheck.diagnosis._evidence import Evidence, scaled
from jaccheck.diagnosis._shape import Likeness, listed
from jaccheck.enclosure import Ball

MOST = 64  # samples, classes or units among which a permutation is looked for, row by row
WORK = 2**24  # elements to compare for it
LISTED = 8


def transposed(evidence: Evidence) -> Likeness | None:
    """Some parameters' Jacobians with the last two axes swapped; as the numbers lie in memory if not square."""
    wrong = _each(evidence, lambda ball: ball.moved(lambda t: t.mT.reshape(t.shape) if t.dim() >= 4 else t))
    if wrong is None:
        return None
    names = ", ".join(map(repr, wrong))
    return Likeness("transposed axes", f"transposed: the axes of {names} are swapped")


def samples_for_classes(evidence: Evidence) -> Likeness | None:
    """N and C swapped; as the numbers lie in memory if they are different."""
    wrong = _each(evidence, lambda ball: ball.moved(lambda t: t.transpose(0, 1).reshape(t.shape)))
    return None if wrong is None else Likeness("transposed axes", "transposed: the axes N and C are swapped")


def permuted_samples(evidence: Evidence) -> Likeness | None:
    """Each sample's row is another's."""
    return _permuted(evidence, evidence.got, 0, "samples")


def permuted_classes(evidence: Evidence) -> Likeness | None:
    """Each class's is another's."""
    return _permuted(evidence, evidence.got, 1, "classes")


def permuted_units(evidence: Evidence) -> Likeness | None:
    """In some parameters' Jacobians, units are permuted."""
    return _permuted_each(evidence, 2, "units")


def permuted_inputs(evidence: Evidence) -> Likeness | None:
    """In some parameters' Jacobians, a layer's inputs are permuted."""
    return _permuted_each(evidence, 3, "inputs")


def summed(evidence: Evidence) -> Likeness | None:
    """In each row the sum, or the mean, of all rows."""
    N, C = next(iter(evidence.got.values())).shape[:2]
    for axis, size, over in ((0, N, "samples"), (1, C, "classes")):
        for factor, what in ((1.0, "sum"), (1 / max(size, 1), "mean")):

            def total(ball: Ball, axis: int = axis, size: int = size, factor: float = factor) -> Ball:
                eps = torch.finfo(evidence.dtype).eps
                radius = ball.radius.sum(axis, keepdim=True) + size * eps * ball.centre.abs().sum(axis, keepdim=True)
                sums = Ball(ball.centre.sum(axis, keepdim=True), radius)
                return scaled(sums, factor, evidence.dtype).moved(lambda t: t.expand(ball.shape))

            if size > 1 and evidence.explains(total):
                return Likeness("sum and mean", f"each row is the {what} over all {over}")
    return None


def _each(evidence: Evidence, moved: Callable[[Ball], Ball]) -> list[str] | None:
    """The parameters that are right once their enclosure is moved, if all are that aren't right without."""
    return evidence.wrong if evidence.explains(moved, evidence.wrong) else None


def _permuted_each(evidence: Evidence, axis: int, what: str) -> Likeness | None:
    """Each parameter by itself."""
    wrong = evidence.wrong
    if any(evidence.got[name].dim() <= axis for name in wrong):
        return None
    found = [_permuted(evidence, [name], axis, what) for name in wrong]
    first = found[0]
    if first is None or any(other is None or other.shape != first.shape for other in found):
        return None
    words = first.words if len(set(found)) == 1 else first.shape
    return Likeness(first.shape, f"{words}, of {listed(wrong)}")


def _permuted(evidence: Evidence, names: Iterable[str], axis: int, what: str) -> Likeness | None:
    """Of the parameters called `names`, each index of an axis holds what belongs to another."""

    def joined(parts: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([parts[name].movedim(axis, 0).flatten(1) for name in names], 1)

    got = joined(evidence.got).double()
    size = len(got)
    if not 1 < size <= MOST or got.numel() * size > WORK:
        return None
    centre = joined({name: ball.centre for name, ball in evidence.balls.items()})
    ball = Ball(centre, joined({name: ball.radius for name, ball in evidence.balls.items()}))
    among, outside = joined(evidence.among), joined(evidence.outside)
    candidates: list[list[int]] = []
    for row, looked, wrong in zip(got, among, outside, strict=True):
        if not looked.any():  # it is right
            candidates.append([len(candidates)])
            continue
        misses = ball.excludes(row[None].expand_as(got)) & looked
        unknown = ~(ball.radius < inf) & wrong
        candidates.append([int(i) for i in (~(misses | unknown).any(1)).nonzero()])
        if not candidates[-1]:
            return None
    order = _matching(candidates)
    first = [options[0] for options in candidates]
    told = ball[order or first].excludes(ball.centre)[outside]
    if 2 * int(told.sum()) <= len(told):  # of most of what is outside, what it should be would do as well
        return None
    if order is None:
        return Likeness(f"wrong {what}", f"the {what} are mixed up: they are those of {_listed(first)}")
    return Likeness(f"permuted {what}", f"permuted {what}: they are those of {_listed(order)}")


def _matching(candidates: list[list[int]]) -> list[int] | None:
    """A permutation among the candidates, found by augmenting paths."""
    taken: dict[int, int] = {}

    def placed(row: int, seen: set[int]) -> bool:
        for option in candidates[row]:
            if option not in seen:
                seen.add(option)
                if option not in taken or placed(taken[option], seen):
                    taken[option] = row
                    return True
        return False

    if not all(placed(row, set()) for row in range(len(candidates))):
        return None
    order = [0] * len(candidates)
    for option, row in taken.items():
        order[row] = option
    return order


def _listed(order: list[int]) -> str:
    return str(order) if len(order) <= LISTED else f"[{', '.join(map(str, order[:LISTED]))}, …]"
