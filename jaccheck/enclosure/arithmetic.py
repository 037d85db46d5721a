"""The rounding of one dtype on one device: what it can do to a function's value, a product and a sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import frexp, inf, isfinite, ldexp

import torch
from torch import Tensor

from jaccheck.enclosure.ball import EPS, TINY, UP, Ball, up


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """What rounding in one dtype can do to a correct implementation, as operations on balls.

    Of an element that may overflow on the way nothing is known, and all of one that depends on a NaN or an infinity.

    Sources: Higham, Accuracy and Stability of Numerical Algorithms (2002), 2.2 (the model, with underflow), 3.1
    (``gamma``), 3.3 (running error bounds); Rump, Fast and parallel interval arithmetic (1999), for matrix products.
    """

    u: float  # unit roundoff of the dtype
    v: float  # unit roundoff of the accumulator of a sum of products
    largest: float  # largest finite number of the dtype
    eta: float  # the most that one rounding loses where its result underflows
    opmath_largest: float  # largest finite number of the precision in which functions are evaluated
    operand: float = 0.0  # unit roundoff to which the operands of a matrix product are rounded first (TF32), or 0
    flushed: float = 0.0  # operands below this may count as zero

    def gamma(self, n: int) -> float:
        """n roundings of the dtype, and as many of the oracle's own float64: ``n u / (1 - n u)`` each."""
        return _gamma(n, self.u) + _gamma(n, EPS / 2)

    def gamma_sum(self, n: int) -> float:
        """A sum of n products in any order, of operands that may be rounded first, and the oracle's own sum."""
        return _gamma(n, self.v) * (1 + self.operands) + self.operands + _gamma(n, EPS / 2)

    @property
    def operands(self) -> float:
        """What a product of two operands that are rounded first is off by, relatively."""
        return 2 * self.operand + self.operand**2

    def number(self, c: float, like: Tensor) -> Ball:
        """A Python number, which an operation takes as it is, or as the nearest number of some precision."""
        off = 0.0  # a NaN or an infinity is one of each precision
        if isfinite(c) and abs(c) > self.largest:
            off = inf
        elif c and abs(c) < self.eta / self.u:  # among the smallest
            off = self.eta
        elif isfinite(c):
            (fraction, exponent), bits = frexp(c), 1 / self.u
            off = abs(c - ldexp(round(fraction * bits) / bits, exponent))
        centre = like.new_tensor(c)
        return Ball(centre, torch.full_like(centre, off))

    def rounded(self, t: Ball, k: int = 1) -> Ball:
        """`t` after k roundings: ``r + γ(k) (|c| + r) + k η``."""
        if k == 0:
            return t
        gamma = self.gamma(k)
        radius = up(torch.add(t.radius, t.size, alpha=gamma), k * self.eta)
        return self.guarded(t.centre, radius, t.reach, gamma)

    def added(self, s: Ball, t: Ball, k: int = 1) -> Ball:
        """``s + t``, rounded k times."""
        return self.rounded(s + t, k)

    def product(self, s: Ball, t: Ball, k: int = 1, *, underflows: Tensor | float = 0.0) -> Ball:
        """``s t``, element by element and broadcast, rounded k times; cheapest with the smaller one second.

        Besides, it loses so many times η on the way.
        """
        # |st| moves by at most δs |t| + |s| δt, and rounds by γ(k) |s| |t|, float64's own rounding included.
        return self._product(s, t, self.gamma(k), underflows + k)

    def outer(self, s: Ball, t: Ball) -> Ball:
        """``s t``, broadcast, as a product of matrices whose sums have one term: its operands may be rounded first."""
        return self._product(s, t, self.gamma(1) + self.operands * (1 + self.gamma(1)), 1)

    def _product(self, s: Ball, t: Ball, gamma: float, underflows: Tensor | float) -> Ball:
        size_s, distance = s.size, t.centre.abs()
        size_t = (distance if t.reach is None else t.reach) + t.radius
        radius = (s.radius * distance).addcmul_(size_s, torch.add(t.radius, size_t, alpha=gamma))
        if self.flushed:  # either operand, or both
            radius.add_(size_s, alpha=self.flushed).add_(size_t, alpha=self.flushed)
        reach = None if s.reach is None and t.reach is None else (size_s * size_t).mul_(UP)
        return self.guarded(s.centre * t.centre, up(radius, underflows * self.eta), reach, gamma, s, t)

    def contraction(
        self, t: Ball, matrix: Tensor, bias: Tensor | None = None, *, absolute: Tensor | None = None
    ) -> Ball:
        """``t @ matrix + bias`` for exact `matrix` ``[I, O]`` and `bias` ``[O]``, in float64; `t` is ``[..., I]``.

        The sum is rounded once, and where a bias is added after it once more; ``|sum| <= |z| + |bias|``. Who has
        ``|matrix|`` at hand passes it as `absolute`.
        """
        n = matrix.shape[0] + (bias is not None)
        k = 1 if bias is None else 2
        gamma, rounding = self.gamma_sum(n), self.gamma(k)
        absolute = matrix.abs() if absolute is None else absolute
        size = t.size
        spread = torch.add(t.radius, size, alpha=gamma)
        radius = (spread.add_(self.flushed) if self.flushed else spread) @ absolute
        if self.flushed:
            radius.add_(size.sum(-1, keepdim=True), alpha=self.flushed)
        centre = t.centre @ matrix
        if bias is not None:
            centre.add_(bias)
            radius.add_(bias.abs(), alpha=gamma + self.gamma(1))
        # `up`, of which the factor is on each term
        radius.mul_((1 + rounding) * UP).add_(centre.abs(), alpha=rounding * UP)
        radius.add_((n + k) * self.eta * UP + (n + 4) * TINY)
        reach = None if t.reach is None else (size @ absolute).mul_(UP)
        # Each partial sum stays below the sum of the magnitudes, which is at most radius / γ.
        return self.guarded(centre, radius, reach, gamma, t, matrix=absolute, bias=bias)

    def total(self, parts: Sequence[Ball]) -> Ball:
        """The sum of balls of one shape, in any order, each addition rounded: γ(k) of the sum of their magnitudes."""
        if len(parts) == 1:
            return parts[0]
        gamma = self.gamma(len(parts) - 1)
        whole, mag = parts[0], parts[0].mag
        for part in parts[1:]:
            whole, mag = whole + part, mag + part.mag
        reach = None if whole.reach is None else mag
        summed = self.guarded(whole.centre, up(torch.add(whole.radius, mag, alpha=gamma)), reach, gamma)
        return self.within(summed, mag)

    def guarded(
        self,
        centre: Tensor,
        radius: Tensor,
        reach: Tensor | None,
        gamma: float,
        *operands: Ball,
        matrix: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Ball:
        """The ball whose elements were computed from numbers that reach no further than its radius over `gamma`."""
        limit = self.largest / (1 + gamma)  # a partial sum of rounded terms may be so much larger than their sum
        if self._all_below(radius, limit * gamma):
            return Ball(centre, radius, reach, finite=True)
        if matrix is None:
            bound = centre.abs() + radius
        else:
            summed = operands[0].mag @ matrix
            bound = summed + (0 if bias is None else bias.abs())
        if self._all_below(bound, limit):
            return Ball(centre, radius, reach, finite=True)
        if matrix is not None:
            sure = not_finite(operands[0]).any(-1, keepdim=True) & matrix.isfinite().all()
            if bias is not None:
                sure = sure | ~bias.isfinite()
            # Beside an infinity, terms whose sum overflows to the other one make NaN of it.
            rest = operands[0].mag.nan_to_num(0.0, 0.0) @ matrix.nan_to_num(0.0, 0.0)
            if bias is not None:
                rest += bias.abs().nan_to_num(0.0, 0.0)
            sure = sure & (centre.isnan() | (rest < limit))
            sure = sure & (operands[0].radius < inf).all(-1, keepdim=True)
        elif len(operands) == 2:
            sure = _product_is_not_finite(*operands)
        else:
            sure = not_finite(Ball(centre, radius))
        below = (bound < limit) | (radius < limit * gamma)  # False for nan
        radius = torch.where(below, radius, inf)
        return Ball(centre, torch.where(sure, 0.0, radius), reach)

    def evaluated(self, phi: object, z: Ball) -> None:
        """Of an activation's rule and its argument, before it is applied, for an arithmetic that looks at them."""

    def within(self, t: Ball, reach: Tensor) -> Ball:
        """`t`, on the way to which numbers as large as `reach` may appear."""
        if self._all_below(reach, self.largest):
            return t
        known = (reach < self.largest) | not_finite(t)
        return Ball(t.centre, torch.where(known, t.radius, inf), t.reach)

    def applied(
        self, z: Ball, value: Tensor, radius: Tensor, *, at_infinity: bool, at_nan: bool = True, lost: float = 0.0
    ) -> Ball:
        """What a function makes of `z`; `at_infinity`, `at_nan`: `value` is right where z is infinite, or NaN, too.

        There it may be `lost` off, besides the roundings of at most 8 factors, whose limits aren't.
        """
        size = value.abs().add_(radius)
        if z.finite and self._all_below(size, self.largest):
            return Ball(value, radius, finite=True)
        known = (size < self.largest) & ~z.centre.isnan()
        if not (at_infinity and at_nan):  # it may be either
            known &= z.radius < inf
        radius = torch.where(known, radius, inf)
        at_limit = torch.where(value.isfinite(), up(value.abs() * self.gamma(8), lost), 0.0)
        at_limit[~torch.where(z.centre.isnan(), at_nan, at_infinity)] = inf
        return Ball(value, torch.where(not_finite(z), at_limit, radius))

    @staticmethod
    def _all_below(t: Tensor, bound: float) -> bool:
        """False where `t` has a NaN."""
        return not t.numel() or t.amax().item() < bound


def not_finite(t: Ball) -> Tensor:
    """Where each point of `t` is the same NaN or infinity."""
    return ~t.centre.isfinite() & (t.radius == 0)


def _product_is_not_finite(s: Ball, t: Ball) -> Tensor:
    """Where NaN or infinity enters, and can't be stopped: by a zero, which some mask and others multiply."""
    stopped = ~(s.radius < inf) | ~(t.radius < inf) | (s.centre == 0) | (t.centre == 0)
    return (not_finite(s) | not_finite(t)) & ~stopped


@lru_cache(maxsize=1024)
def _gamma(n: int, u: float) -> float:
    return n * u / (1 - n * u) if n * u < 1 else inf
