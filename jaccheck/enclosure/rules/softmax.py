"""Softmax, its logarithm, and the logarithm of the sum that it divides by."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.rules._activation import COMPOUND, FUNCTION, ORACLE
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule, same_dtype
from jaccheck.enclosure.rules.broadcast import per_sample, summed_to

FAR = 1024.0
"""Whose exp(-t) is 0 in each dtype, also where t is off by an eighth."""


class _Normalized(NoParameters):
    """What ``p_i = exp(z_i) / Σ exp(z_j)`` and ``y_i = log p_i`` have in common: paths take z - max z first."""

    def __init__(self, dim: int | None) -> None:
        if dim is None:
            raise Unsupported("no enclosure for a softmax over an axis that isn't named")
        self.dim = dim

    def logarithm(self, fl: Arithmetic, z: Ball) -> tuple[Tensor, Tensor, Tensor, float]:
        """y at the centre; how far the sum's error and a shift take y_i; a bound of ``|z_i - max z|``; n roundings' u.

        A shift of z by δ moves y_i by ``δ_i - Σ p_j δ_j``. Of e_j = exp(z_j - max z), the argument rounds once and the
        function FUNCTION times, so that its logarithm is off by ``ε_j = u (|z_j - max z| + FUNCTION)``; the sum, of n
        terms, by ``Σ p_j (exp ε_j - 1)`` and γ(n) relatively; its logarithm by twice as much, if that is below 1/4.
        """
        self.axis = self.dim % z.centre.dim()
        if self.axis == 0:
            raise Unsupported("no enclosure for a softmax over the batch axis")
        self.n = z.shape[self.axis]
        if not self.n:
            raise Unsupported("no enclosure for a softmax of nothing")
        shift = z.radius + z.radius.amax(self.axis, keepdim=True)
        distance = z.centre.amax(self.axis, keepdim=True) - z.centre + shift
        unit = (fl.u + EPS / 2) * COMPOUND  # theirs and ours
        y = torch.log_softmax(z.centre, self.axis)
        wrong = torch.expm1(unit * (distance.clamp(max=FAR) + FUNCTION) + ORACLE)
        sums = (_exp(y + shift) * wrong).sum(self.axis, keepdim=True) + fl.gamma(self.n) + self.n * fl.eta
        return y, shift + torch.where(sums <= 0.25, 2 * sums, inf), distance, unit

    @property
    def gain(self) -> float:
        """Of ``τ_i - Σ e_j τ_j / Σ e_j``, and of that sum before it is divided, in which e_j may be 1."""
        return self.n + 1.0


def _exp(y: Tensor) -> Tensor:
    """Of the logarithm of what isn't above 1, but for rounding."""
    return y.clamp(max=0.1).exp()


def _within(fl: Arithmetic, y: Tensor, off: Tensor, underflows: int) -> Ball:
    """p = exp(y), where y is off by so much: ``p (exp(off) - 1)`` as ``exp(y + off) (1 - exp(-off))``."""
    radius = up(_exp(y + off) * -torch.expm1(-off), underflows * fl.eta)
    return fl.rounded(Ball(y.exp(), torch.where(off < inf, radius, inf)))


class Softmax(_Normalized):
    """``p``, so that ``∂f/∂z = p (D - Σ D_j p_j)``."""

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        y, off, distance, unit = self.logarithm(fl, z)
        off = off + unit * (distance.clamp(max=FAR) + FUNCTION + 1) + ORACLE  # e_i, and the quotient
        self.p = _within(fl, y, off, self.n + 4)
        return self.p

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        p = per_sample(self.p, D.centre.dim())
        terms = fl.product(D, p)
        total = _total(fl, terms, self.axis + 1)
        # as p D - p Σ, or as p (D - Σ): what this difference rounds is no more than the products and that one together
        away = fl.added(terms, -fl.product(total, p), k=2)
        return (fl.within(away, D.mag + total.mag),)


class Softmin(Softmax):
    """That of -z."""

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        return super().forward(fl, -z)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        (to_z,) = super().vjp(fl, D)
        return (-to_z,)


class LogSoftmax(_Normalized):
    """``y = log p``, so that ``∂f/∂z = D - p Σ D_j``."""

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        y, off, distance, unit = self.logarithm(fl, z)
        # (z - max z) - log Σ: one difference, the logarithm, which is log n at most, and another difference
        off = off + (unit * (FUNCTION + 2) + ORACLE) * (y.abs() + distance + log(self.n))
        value = fl.rounded(Ball(y, torch.where(off < inf, up(off, 4 * fl.eta), inf)))
        self.p = _within(fl, y, value.radius + unit * FUNCTION + ORACLE, 4)
        return value

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        p = per_sample(self.p, D.centre.dim())
        return (fl.added(D, -fl.product(_total(fl, D, self.axis + 1), p), k=2),)


class LogSumExp(_Normalized):
    """``y = max z + log Σ exp(z_i - max z)``, so that ``∂f/∂z = D p`` with ``p = exp(z - y)``."""

    def __init__(self, dim: int, keepdim: bool) -> None:
        super().__init__(dim)
        self.keepdim = keepdim

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        logarithm, off, _, unit = self.logarithm(fl, z)
        y = torch.logsumexp(z.centre, self.axis, keepdim=True)
        # the logarithm of the sum is log n at most, and rounded as a function; then the maximum is added
        rounding = (unit * FUNCTION + ORACLE) * (log(self.n) + y.abs())
        radius = off.amax(self.axis, keepdim=True) + rounding
        # in the exponent y has its own rounding, and the difference another; z is shifted as it was there
        off = off + rounding + (unit * (FUNCTION + 1) + ORACLE) * (logarithm.abs() + y.abs() + 1)
        self.p = _within(fl, logarithm, off, 4)
        value = fl.rounded(Ball(y, torch.where(radius < inf, up(radius, 4 * fl.eta), inf)))
        return value if self.keepdim else value.moved(lambda t: t.squeeze(self.axis))

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        if not self.keepdim:
            D = D.moved(lambda t: t.unsqueeze(self.axis + 1))
        return (fl.product(D, per_sample(self.p, D.centre.dim())),)


def _total(fl: Arithmetic, D: Ball, axis: int) -> Ball:
    """The sum over one axis, which stays."""
    return summed_to(fl, D, [1 if d == axis else size for d, size in enumerate(D.shape)][2:])


@rule(nn.Softmax, F.softmax, torch.softmax, "softmax")
def softmax(input: Wire, dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> Softmax:
    same_dtype("a softmax", dtype)
    return Softmax(dim)


@rule(nn.Softmin, F.softmin)
def softmin(input: Wire, dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> Softmin:
    same_dtype("a softmax", dtype)
    return Softmin(dim)


@rule(nn.LogSoftmax, F.log_softmax, torch.log_softmax, "log_softmax")
def log_softmax(input: Wire, dim: int | None = None, _stacklevel: int = 3, dtype: object = None) -> LogSoftmax:
    same_dtype("a softmax", dtype)
    return LogSoftmax(dim)


@rule(torch.logsumexp, "logsumexp", torch.special.logsumexp)
def logsumexp(input: Wire, dim: int | Sequence[int], keepdim: bool = False) -> LogSumExp:
    dims = [dim] if isinstance(dim, int) else list(dim)
    if len(dims) != 1:
        raise Unsupported("no enclosure for a logsumexp over several axes")
    return LogSumExp(dims[0], keepdim)
