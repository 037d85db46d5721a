"""The enclosures of all parameters of a small problem in one piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import inf

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import UP, Ball
from jaccheck.enclosure.jacobian import UNKNOWN, Extent


@dataclass(frozen=True, eq=False)
class Whole:
    """The enclosures of all parameters, side by side."""

    ball: Ball  # [N, C, P]
    sizes: list[int]  # of each parameter; P is their sum

    @classmethod
    def of(cls, balls: Sequence[Ball]) -> Whole:
        """Of balls ``[N, C, *p.shape]``."""
        centre, radius = side_by_side([ball.centre for ball in balls]), side_by_side([ball.radius for ball in balls])
        whole = Ball(centre, radius, finite=all(ball.finite for ball in balls))
        return cls(whole, [math.prod(ball.shape[2:]) for ball in balls])

    def rounded(self, fl: Arithmetic, k: int) -> Whole:
        """That of paths that round k times more."""
        return Whole(fl.rounded(self.ball, k), self.sizes)

    @cached_property
    def vacuous(self) -> int:
        """Elements of which nothing is known."""
        return 0 if self.ball.finite else int((~(self.ball.radius < inf)).sum())

    @cached_property
    def extents(self) -> list[Extent]:
        """Of each parameter, as far as something is known of it."""
        centres, radii = ([*torch.split(t, self.sizes, 2)] for t in (self.ball.centre, self.ball.radius))
        unknown = [False] * len(centres)
        if not self.ball.finite:
            known = [(r < inf) & c.isfinite() for c, r in zip(centres, radii, strict=True)]
            centres, radii = ([*map(_or_zero, known, tensors)] for tensors in (centres, radii))
            unknown = [not bool(k.any()) for k in known]
        found = [(*c.aminmax(), r.amax()) for c, r in zip(centres, radii, strict=True) if c.numel()]
        bounds = iter(torch.stack([*chain(*found)]).reshape(-1, 3).tolist() if found else ())
        extents = [_extent(*next(bounds)) if c.numel() else Extent(0.0, 0.0) for c in centres]
        return [UNKNOWN if u and c.numel() else e for u, c, e in zip(unknown, centres, extents, strict=True)]

    def extents_after(self, fl: Arithmetic, k: int) -> list[Extent] | None:
        """Bounds of the extents after k more roundings; None if these may overflow: look at what is `rounded`."""
        gamma = fl.gamma(k)
        wider = [Extent(e.largest, (e.widest + gamma * (e.largest + e.widest) + k * fl.eta) * UP) for e in self.extents]
        return wider if self.ball.finite and all(e.widest < fl.largest * gamma for e in wider) else None


def side_by_side(values: Sequence[Tensor]) -> Tensor:
    """A copy of what is ``[N, C, *p.shape]`` for each parameter, as ``[N, C, P]``."""
    flat = [t if t.dim() == 3 else t[..., None] if t.dim() == 2 else t.flatten(2) for t in values]
    return torch.cat(flat, 2)


def _or_zero(known: Tensor, t: Tensor) -> Tensor:
    return torch.where(known, t, 0.0)


def _extent(lowest: float, highest: float, widest: float) -> Extent:
    return Extent(max(-lowest, highest), widest)
