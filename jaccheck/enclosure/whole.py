"""The enclosures of all parameters of a small problem in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import UP, Ball
from jaccheck.enclosure.jacobian import Extent


@dataclass(frozen=True, eq=False)
class Whole:
    """The enclosures of all parameters, side by side."""

    ball: Ball  # [N, C, P]
    sizes: Sequence[int]  # of each parameter; P is their sum

    @classmethod
    def of(cls, balls: Sequence[Ball]) -> Whole:
        """Of balls ``[N, C, *p.shape]``."""
        centres, radii = [_flat(ball.centre) for ball in balls], [_flat(ball.radius) for ball in balls]
        finite = all(ball.finite for ball in balls)
        whole = Ball(torch.cat(centres, 2), torch.cat(radii, 2), finite=finite)
        return cls(whole, [centre.shape[2] for centre in centres])

    def rounded(self, fl: Arithmetic, k: int) -> Whole:
        """That of paths that round k times more."""
        return Whole(fl.rounded(self.ball, k), self.sizes)

    def contains(self, values: Sequence[Tensor]) -> bool:
        """Whether no element of `values`, ``[N, C, *p.shape]`` for each parameter, is certainly outside."""
        flat = torch.cat([_flat(value) for value in values], 2)
        away = flat - self.ball.centre
        return torch.equal(away, away.clamp(self._lowest, self.ball.radius)) or self.ball.holds(flat)

    @cached_property
    def _lowest(self) -> Tensor:
        return -self.ball.radius

    @cached_property
    def vacuous(self) -> int:
        """Elements of which nothing is known."""
        return 0 if self.ball.finite else int((~(self.ball.radius < inf)).sum())

    @cached_property
    def extents(self) -> list[Extent]:
        """Of each parameter, as far as something is known of it."""
        size, radius = self.ball.centre.abs(), self.ball.radius
        if not radius.numel():
            return [Extent(0.0, 0.0) for _ in self.sizes]
        if not self.ball.finite:
            known = (radius < inf) & (size < inf)
            size, radius = torch.where(known, size, 0.0), torch.where(known, radius, 0.0)
        most = torch.stack([size.amax((0, 1)), radius.amax((0, 1))], 1)  # [P, 2]
        lengths = torch.tensor(self.sizes, device=most.device)
        return [Extent(*pair) for pair in torch.segment_reduce(most, "max", lengths=lengths).tolist()]

    def extents_after(self, fl: Arithmetic, k: int) -> list[Extent] | None:
        """Bounds of the extents after k more roundings; None if these may overflow: look at what is `rounded`."""
        gamma = fl.gamma(k)
        wider = [Extent(e.largest, (e.widest + gamma * (e.largest + e.widest) + k * fl.eta) * UP) for e in self.extents]
        return wider if self.ball.finite and all(e.widest < fl.largest * gamma for e in wider) else None


def _flat(t: Tensor) -> Tensor:
    """From ``[N, C, *p.shape]`` to ``[N, C, P]``."""
    return t if t.dim() == 3 else t[..., None] if t.dim() == 2 else t.flatten(2)
