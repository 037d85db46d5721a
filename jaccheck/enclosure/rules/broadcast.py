"""What is broadcast against cotangents, and cotangents of what was broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball

Numbers = TypeVar("Numbers", Ball, Tensor)


def per_sample(t: Numbers, dim: int) -> Numbers:
    """`t`, broadcast against ``[N, C, *features]`` of `dim` axes: its own batch axis, if any, stays in front."""
    if isinstance(t, Ball):
        return t.moved(lambda s: per_sample(s, dim))
    return t.reshape(t.shape[0], *[1] * (dim - t.dim()), *t.shape[1:])


def summed_to(fl: Arithmetic, D: Ball, shape: Sequence[int]) -> Ball:
    """From ``[N, C, *features]`` to ``[N, C, *shape]``, where `shape` was broadcast to features: a sum, rounded."""
    extra = D.centre.dim() - 2 - len(shape)
    axes = [*range(2, 2 + extra), *(d for d in range(2 + extra, D.centre.dim()) if shape[d - 2 - extra] != D.shape[d])]
    if not axes:
        return D
    terms = 1
    for axis in axes:
        terms *= D.shape[axis]
    mag = D.mag.sum(axes, keepdim=True)
    total = Ball(D.centre.sum(axes, keepdim=True), D.radius.sum(axes, keepdim=True), None)
    total = Ball(total.centre, total.radius.add(mag, alpha=fl.gamma_sum(terms)), None if D.reach is None else mag)
    summed = fl.within(fl.rounded(total), mag)
    return summed.moved(lambda t: t.reshape(*t.shape[:2], *shape))
