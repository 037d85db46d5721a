"""A parameter's Jacobian, known as a recipe: evaluated for the rows at hand, and never held whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import UP, Ball


@dataclass(frozen=True)
class Extent:
    """Of some elements: the magnitude of none exceeds `largest`, its radius `widest`."""

    largest: float
    widest: float

    @classmethod
    def of_all(cls, extents: Sequence[Extent]) -> Extent:
        """Of all elements of some, or of none."""
        return cls(max((e.largest for e in extents), default=0.0), max((e.widest for e in extents), default=0.0))

    @property
    def resolution(self) -> float:
        """The smallest error, relative to the largest entry, that would certainly have been caught.

        A correct value may lie at one end of its ball, so that an error of up to the diameter may end inside.
        """
        if not self.widest:
            return 0.0
        return 2 * self.widest / self.largest if self.largest else inf


UNKNOWN = Extent(0.0, inf)
"""Of elements of which nothing is known."""


class Jacobian(Protocol):
    """The enclosure of ∂f/∂p, ``[N, C, *p.shape]``."""

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        """The part of samples `n` and outputs `c`, as a correct path in `fl` gives it."""

    def glance(self, fl: Arithmetic, value: Tensor, n: slice, c: slice, extra_roundings: int) -> Extent | None:
        """The extent of that part if all of `value` is cheaply seen to lie inside; None: look at `rows`."""


class LookCloser:
    """A recipe whose elements have to be looked at one by one."""

    def glance(self, fl: Arithmetic, value: Tensor, n: slice, c: slice, extra_roundings: int) -> Extent | None:
        return None


@dataclass(frozen=True, eq=False)
class Direct(LookCloser):
    """A Jacobian that the backward sweep already holds."""

    ball: Ball  # [N, C, *p.shape]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        return self.ball if n == c == EVERY else self.ball[n, c]


EVERY = slice(None)
SCALE = 2.0**60
FINE = {torch.float32: 2.0**75, torch.float64: 2.0**537}
"""So large that the smallest number, 2^-149 or 2^-1074, times this has a square that isn't 0."""
BLOCK = 2**18  # elements that are looked at together: a megabyte or two, which a core's cache holds


@dataclass(frozen=True, eq=False)
class Outer:
    """``J[n, c, o, i] = left[n, c, o] right[n, i]``, rounded once: a linear layer's weight."""

    left: Ball  # [N, C, O]
    right: Ball  # [N, I]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        left, right = (self.left, self.right) if n == c == EVERY else (self.left[n, c], self.right[n])
        return fl.outer(left.moved(lambda t: t.unsqueeze(-1)), right.moved(lambda t: t[:, None, None]))

    def glance(self, fl: Arithmetic, value: Tensor, n: slice, c: slice, extra_roundings: int) -> Extent | None:
        """Three passes over `value` in its own precision, instead of a ball for each of its elements.

        With D on the left and a on the right, the radius of an element is at least ``ρ |a| + |D| δa + η``, for ρ the
        radius of D plus γ |D| of all roundings. That is no less than ``row · column`` with rows ρ and columns |a|, or
        with rows |D| and columns ``min(ρ / |D|) |a| + δa``; J lies inside where ``|J - D a| / column <= row``. That
        holds if a row's ``Σ (|J - D a| / column)²`` is at most ``row²``, as it mostly is, since errors are much smaller
        than their bounds; or else where a row's extremes are. D and a as numbers of the precision, their product, the
        difference and the quotient round by ``4 u |D a|`` and ``8 u row`` at most, and that much less is allowed. What
        operands that count as zero add to the radius isn't made use of.
        """
        D, a = self.left[n, c], self.right[n]
        size, steps = D.centre.abs(), a.centre.abs()
        gamma = fl.gamma(1) * (1 + fl.operands) + fl.operands + (fl.gamma(extra_roundings) if extra_roundings else 0.0)
        most, reach, mag = float(size.amax()), float(steps.amax()), float(D.mag.amax())
        blur = mag * float(torch.add(a.radius, a.mag, alpha=gamma).amax()) + fl.flushed * (mag + float(a.mag.amax()))
        widest = (float(D.radius.amax()) * reach + blur) * (1 + gamma) * UP + (2 + extra_roundings) * fl.eta
        extent = Extent(most * reach, widest)
        work = torch.promote_types(value.dtype, torch.float32)
        u, tiny = torch.finfo(work).eps / 2, torch.finfo(work).tiny
        live = size > 0
        least, shortest = (float(torch.where(t > 0, t, inf).amin()) for t in (size, steps))
        # underflow in the precision at hand, overflow, a nan, or more samples than fit the test below
        if (
            not (
                min(least, shortest, least * shortest) > 64 * tiny
                and extent.largest + extent.widest < min(fl.largest, SCALE)
            )
            or len(steps) > 1
        ):
            return None
        rho = torch.where(live, torch.add(D.radius, size, alpha=gamma - 6 * u), 0.0)  # [1, c, O]
        if a.radius.amax() == 0:
            row, column = rho, steps
        else:
            row, column = size, (steps * torch.where(live, rho / size, inf).amin()).add_(a.radius, alpha=1 - 4 * u)
        top = float(column.amax())
        if not (rho >= 0).all() or not 0 < top < SCALE:
            return None
        zero = column == 0
        weights = torch.cat([torch.where(zero, 0.0, (top / column).square()), zero]).to(work)  # [2, I]
        column = column.clamp(min=fl.eta / max(float(row.amax()), tiny))
        bound = (row * (top * (1 - 10 * u))).to(work)[0]  # [c, O]
        factor, left, right = (top / SCALE / column).to(work), D.centre.to(work)[0], a.centre.to(work)[0]
        matrices = value[0]  # [c, O, I]
        if matrices.is_contiguous():  # all outputs as rows of one, in fewer pieces
            matrices, bound, left = matrices.flatten(0, 1)[None], bound.flatten()[None], left.flatten()[None]
        block = max(1, BLOCK // len(right))
        scratch = value.new_empty(min(block, left.shape[1]), len(right), dtype=work)
        for J, limit, d in zip(matrices, bound, left, strict=True):
            pieces = [(j, e, scratch[: len(e)]) for j, e in zip(J.split(block), d.split(block), strict=True)]
            if not _squares_below(pieces, right, weights, limit) and not _extremes_below(pieces, right, factor, limit):
                return None
        return extent


Pieces = Sequence[tuple[Tensor, Tensor, Tensor]]
"""Some rows of a matrix J, ``[o, I]``, as many of d, ``[o]``, and memory for ``J - d a``, in the precision to use."""


def _squares_below(pieces: Pieces, a: Tensor, weights: Tensor, limit: Tensor) -> bool:
    """Whether each row of ``(J - d a)²`` times weights is at most ``limit²``, and times those of columns of zeros is 0.

    `FINE` keeps the square of the smallest difference there is from underflow: a sum is 0 only if all in it are. One of
    n squares rounds by ``γ(n + 4)``, in any order. What overflows is not below.
    """
    fine, info = FINE[a.dtype], torch.finfo(a.dtype)
    columns, zeros = weights
    some = bool(zeros.any())
    sums, others = [], []
    for J, d, out in pieces:
        away = torch.addr(J.to(a.dtype), d, a, beta=fine, alpha=-fine, out=out)
        squares = away.mul_(away)
        sums.append(torch.mv(squares, columns))
        if some:
            others.append(torch.mv(squares, zeros))
    allowed = (limit * fine).square_().mul_(1 - (len(a) + 8) * info.eps).clamp_(max=info.max)
    return bool((torch.cat(sums) <= allowed).all()) and not (some and bool(torch.cat(others).any()))


def _extremes_below(pieces: Pieces, a: Tensor, factor: Tensor, limit: Tensor) -> bool:
    """Whether each row of ``|J - d a|`` times factors is at most `limit`.

    `SCALE` on the difference, and on the columns that the factors divide by, keeps quotients above underflow; what
    overflows after all is not below.
    """
    highs, lows = [], []
    for J, d, out in pieces:
        away = torch.addr(J.to(a.dtype), d, a, beta=SCALE, alpha=-SCALE, out=out).mul_(factor)
        highs.append(away.amax(1))
        lows.append(away.amin(1))
    return bool(((torch.cat(highs) <= limit) & (torch.cat(lows) >= -limit)).all())


@dataclass(frozen=True, eq=False)
class OuterSum(LookCloser):
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
        if fl.flushed:
            radius.add_(left.mag.sum(-1, keepdim=True) + right.mag.sum(-2, keepdim=True), alpha=fl.flushed)
        summed = fl.rounded(Ball(total.centre, radius, None if left.reach is None else magnitude))
        return fl.within(summed, magnitude)


@dataclass(frozen=True, eq=False)
class Transposed:
    """That of a parameter whose transpose the recipe is for: ``[N, C, I, O]``."""

    jacobian: Jacobian

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        return self.jacobian.rows(fl, n, c).moved(lambda t: t.mT)

    def glance(self, fl: Arithmetic, value: Tensor, n: slice, c: slice, extra_roundings: int) -> Extent | None:
        return self.jacobian.glance(fl, value.mT, n, c, extra_roundings)


@dataclass(frozen=True, eq=False)
class Sum(LookCloser):
    """A parameter that is used several times."""

    parts: Sequence[Jacobian]

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        return fl.total([part.rows(fl, n, c) for part in self.parts])


@dataclass(frozen=True, eq=False)
class Zero(LookCloser):
    """A parameter on which the output doesn't depend."""

    shape: Sequence[int]  # [N, C, *p.shape]
    device: torch.device

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        whole = torch.zeros((), dtype=torch.float64, device=self.device).expand(*self.shape)
        return Ball(whole[n, c], whole[n, c], finite=True)


@dataclass(frozen=True, eq=False)
class Drifted(LookCloser):
    """A Jacobian to which what was lost on the way is added: forward mode passes all later layers."""

    jacobian: Jacobian
    drift: Tensor  # [N, C], absolute

    def rows(self, fl: Arithmetic, n: slice, c: slice) -> Ball:
        ball = self.jacobian.rows(fl, n, c)
        drift = self.drift[n, c].reshape(*ball.shape[:2], *[1] * (ball.centre.dim() - 2))
        return Ball(ball.centre, ball.radius + drift, ball.reach)


def total(parts: Sequence[Jacobian], shape: Sequence[int], device: torch.device) -> Jacobian:
    """What all uses of one parameter add up to, ``[N, C, *p.shape]``."""
    if not parts:
        return Zero(shape, device)
    return parts[0] if len(parts) == 1 else Sum(parts)
