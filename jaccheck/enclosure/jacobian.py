"""A parameter's Jacobian, known as a recipe: evaluated for the rows at hand, and never held whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball


class Jacobian(Protocol):
    """The enclosure of ∂f/∂p, ``[N, C, *p.shape]``."""

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        """The part of samples `n` and outputs `c`, as a correct path in `fl` gives it."""


@dataclass(frozen=True, eq=False)
class Direct:
    """A Jacobian that the backward sweep already holds."""

    ball: Ball  # [N, C, *p.shape]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        return self.ball[n, c]


@dataclass(frozen=True, eq=False)
class Outer:
    """``J[n, c, o, i] = left[n, c, o] right[n, i]``, rounded once: a linear layer's weight."""

    left: Ball  # [N, C, O]
    right: Ball  # [N, I]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        return fl.product(self.left[n, c][..., None], self.right[n][:, None, None, :])


@dataclass(frozen=True, eq=False)
class OuterSum:
    """``J[n, c, o, i] = Σ_t left[n, c, t, o] right[n, t, i]``: a linear layer on ``[N, T, I]``."""

    left: Ball  # [N, C, T, O]
    right: Ball  # [N, T, I]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        left = self.left[n, c].moved(lambda t: t.mT)  # [N, C, O, T]
        right = self.right[n].moved(lambda t: t[:, None])  # [N, 1, T, I]
        terms = self.right.shape[1]
        total = left @ right
        magnitude = left.mag @ right.mag
        radius = total.radius.add(magnitude, alpha=fl.gamma_sum(terms)).add_(terms * fl.eta)
        return fl.rounded(Ball(total.centre, radius, None if left.reach is None else magnitude))


@dataclass(frozen=True, eq=False)
class Sum:
    """A parameter that is used several times."""

    parts: Sequence[Jacobian]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        return fl.total([part.rows(fl, n, c) for part in self.parts])


@dataclass(frozen=True, eq=False)
class Zero:
    """A parameter on which the output doesn't depend."""

    shape: Sequence[int]  # [N, C, *p.shape]
    device: torch.device

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        whole = torch.zeros((), dtype=torch.float64, device=self.device).expand(*self.shape)
        return Ball(whole[n, c], whole[n, c])


def total(parts: Sequence[Jacobian], shape: Sequence[int], device: torch.device) -> Jacobian:
    """What all uses of one parameter add up to, ``[N, C, *p.shape]``."""
    if not parts:
        return Zero(shape, device)
    return parts[0] if len(parts) == 1 else Sum(parts)
