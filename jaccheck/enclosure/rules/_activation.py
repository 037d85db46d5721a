"""What an activation has to state, and the rule that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.rules._rule import NoParameters

FUNCTION = 4  # roundings that exp, log1p, tanh, erf, … count for: 2 ulp, the most that CUDA's and SLEEF's manuals state
ORACLE = 64 * EPS  # formulas in float64 that round: at most 16 operations, and functions of 2 ulp
COMPOUND = 1 + 2.0**-3  # (1 + u)^k - 1 <= COMPOUND k u for all four dtypes and k <= 56


class Span:
    """Where the argument of a function lies: between `low` and `high`, and no farther from 0 than `mag`."""

    def __init__(self, z: Ball) -> None:
        self._z = z

    @cached_property
    def low(self) -> Tensor:
        return self._z.centre - self._z.radius

    @cached_property
    def high(self) -> Tensor:
        return self._z.centre + self._z.radius

    @cached_property
    def mag(self) -> Tensor:
        return self._z.centre.abs().add_(self._z.radius)

    @cached_property
    def least(self) -> Tensor:
        """No more than any |t|, and no more than 1000, of which ``exp(-t)`` is 0."""
        return self._z.centre.abs().sub_(self._z.radius).clamp(0, 1000)

    @cached_property
    def not_positive(self) -> Tensor:
        """Where it reaches 0 or below."""
        return self.low <= 0


@dataclass(frozen=True)
class Activation:
    """φ, element by element: a function, its derivative, its kinks and what rounding does to it, side by side.

    Errors are those of any formula in use (torch's kernels, forward mode, BackPACK), in units of the dtype's u. They
    hold for all arguments in a span, and grow with the bounds of |φ| and |φ'| there, which they are given.
    """

    value: Callable[[Tensor], Tensor]  # φ(t)
    slope: Callable[[Tensor], Tensor]  # φ'(t); at a kink, and at NaN, what torch's own derivative gives
    value_error: Callable[[Span, Tensor], Tensor] | float  # of the span and sup |φ|; or as many times sup |φ|
    slope_error: Callable[[Span, Tensor, Tensor], Tensor] | float  # of the same and sup |φ'|; or as many times sup |φ'|
    limit_error: float = 0.0  # of φ' at t = ±∞, besides 8 roundings: where it is computed from φ, which was rounded
    max_curvature: Callable[[Span], Tensor] | float = 0.0  # sup |φ''| away from the kinks, in the span or anywhere
    decay: float = inf  # sup |φ'' / φ'|: where φ is flat, so is φ'
    linear_above: float = inf  # φ'' = 0 from here on
    kinks: tuple[tuple[float, float, float], ...] = ()  # (t, |jump of φ'|, |jump of φ|) there
    kink_blur: float = 0.0  # how far underflow moves a kink, in units of η
    underflow: Callable[[Span], Tensor | float] = lambda t: 4.0  # what it costs φ and φ', in η: one for each operation
    losses: Callable[[Span], Tensor] | float = 3.0  # what D loses on the way to D φ', in η: four factors, see `vjp`
    floor: float = 0.0  # what both lose where a term overflows on the way, in units of 1 / (the largest number)
    slope_floor: float = 0.0  # what φ' alone loses there, in the same units
    on_the_way: Callable[[Span], Tensor] | None = None  # numbers that overflow before φ does: there nothing is known
    factor: Callable[[Span], Tensor] | float = 1.0  # a part of φ' that overflows, or D times that, before the rest
    exact: bool = False  # neither formula rounds, and a path's doesn't
    exact_where: Callable[[Tensor], Tensor] | None = None  # that holds where this does, for what the dtype can hold
    at_infinity: bool = True  # the formulas hold for t = ±∞ as well
    at_nan: bool = True  # the slope holds at NaN; False where torch's scalar and vector kernels differ


class Elementwise(NoParameters):
    """``a = φ(z)``, so that ``∂f/∂z = D φ'(z)``."""

    alike = True  # φ is the same function for each element

    def __init__(self, phi: Activation) -> None:
        self.phi = phi

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        phi = self.phi
        fl.evaluated(phi, z)
        self.z = z
        r = z.radius
        value, slope = phi.value(z.centre), phi.slope(z.centre)
        # A shift by δ moves φ by at most |δ| sup |φ'| and φ' by at most |δ| sup |φ''|; a kink in reach adds its jumps.
        span = Span(z)
        jump, step = _jumps(phi, fl, z)
        steepest = slope.abs()
        if jump is not None:
            steepest.add_(jump)
        slope_radius = torch.zeros_like(r) if jump is None else jump
        if callable(phi.max_curvature):
            bent = r * phi.max_curvature(span)
            steepest.add_(bent)
            slope_radius.add_(bent)
        elif phi.max_curvature:
            # |φ''| <= d |φ'| makes φ' grow by no more than exp(d δ) over δ (Grönwall)
            most = torch.add(steepest, r, alpha=phi.max_curvature)
            steepest = torch.minimum(most, steepest * torch.exp(r * phi.decay)) if phi.decay < inf else most
            slope_radius.addcmul_(r, _bend(phi, phi.max_curvature, span, steepest))
        value_radius = steepest.mul_(r)
        if step is not None:
            value_radius.add_(step)
        unit = (fl.u + EPS / 2) * COMPOUND  # theirs and ours
        if not phi.exact:
            size, slope_size = value.abs().add_(value_radius), slope.abs().add_(slope_radius)
            value_error = phi.value_error(span, size) if callable(phi.value_error) else phi.value_error
            slope_error = phi.slope_error(span, size, slope_size) if callable(phi.slope_error) else phi.slope_error
            underflow = fl.eta * phi.underflow(span) + phi.floor / fl.opmath_largest
            slope_underflow = underflow + phi.slope_floor / fl.opmath_largest
            value_radius = _with(value_radius, size, value_error, unit, underflow)
            slope_radius = _with(slope_radius, slope_size, slope_error, unit, slope_underflow)
            if phi.on_the_way is not None:
                value_radius = torch.where(phi.on_the_way(span) < fl.opmath_largest, value_radius, inf)
        losses = 0.0 if phi.exact else phi.losses
        self.losses = losses(span)[:, None] if callable(losses) else losses
        # a factor that isn't constant rounds itself: as a function, its cube and a power, and so does D times that
        self.factor = phi.factor(span)[:, None] * (1 + fl.gamma(6 * FUNCTION)) if callable(phi.factor) else phi.factor
        lost = phi.limit_error * unit
        self.psi = fl.applied(z, slope, slope_radius, at_infinity=phi.at_infinity, at_nan=phi.at_nan, lost=lost)
        return fl.applied(z, value, value_radius, at_infinity=phi.at_infinity)

    @property
    def gain(self) -> float:
        if (self.z.centre.isfinite() & ~self.psi.centre.isfinite()).any():  # √ at 0
            return inf
        # A wide ball reaches further than φ' does anywhere; what the dtype makes of φ' is no more than twice as large.
        steepest = self.psi.centre.abs()
        return float((2 * steepest[steepest.isfinite()] + 1).max()) if steepest.isfinite().any() else 1.0

    @property
    def tangent_loss(self) -> Tensor | float:
        return self.losses  # the same factors one by one

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …] -> [N, C, …]
        # torch multiplies D by the factors of φ' one by one, four at most (CELU), or adds what it does to two terms
        # (Softsign). Each result but the last may lose η, times the factors to come, which are at most 1 by default.
        product = fl.product(D, self.psi.moved(lambda t: t[:, None]), underflows=self.losses)
        if not isinstance(self.factor, Tensor) and self.factor <= 1:
            return (product,)
        return (fl.within(product, D.mag.clamp_(min=1.0) * self.factor),)


def _jumps(phi: Activation, fl: Arithmetic, z: Ball) -> tuple[Tensor | None, Tensor | None]:
    """What the kinks in reach of `z` add to φ' and to φ; None: nothing anywhere."""
    jump: Tensor | None = None
    step: Tensor | None = None
    for kink, slope_jump, value_jump in phi.kinks:
        if not slope_jump and not value_jump:
            continue
        if kink:  # a number that was rounded, perhaps, up to three times, and once among the smallest
            blur = 3 * fl.u * abs(kink) + (1 + phi.kink_blur) * fl.eta
            near = (z.centre - kink).abs_() <= (z.radius * (1 + EPS)).add_(blur)
        else:
            blur = phi.kink_blur * fl.eta
            near = z.centre.abs() <= (z.radius + blur if blur else z.radius)
        here = near.double()
        if value_jump:
            step = torch.zeros_like(here) if step is None else step
            step.add_(here, alpha=value_jump * (1 + 2 * fl.u) + blur)
        jump = here.mul_(slope_jump) if jump is None else jump.add_(here, alpha=slope_jump)
    return jump, step


def _bend(phi: Activation, most: float, span: Span, steepest: Tensor) -> Tensor:
    """sup |φ''| over `span`, where |φ'| is at most `steepest`."""
    bend = (steepest * phi.decay).clamp_(max=most) if phi.decay < inf else torch.full_like(steepest, most)
    if phi.linear_above < inf:
        bend.mul_(span.low <= phi.linear_above * (1 + EPS) if phi.linear_above else span.not_positive)
    return bend


def _with(radius: Tensor, size: Tensor, error: Tensor | float, unit: float, lost: Tensor | float) -> Tensor:
    """`up` of `radius`, overwritten, with an error in units, or so many times `size`, and with what is lost."""
    if isinstance(error, Tensor):
        radius.add_(error, alpha=unit).add_(size, alpha=ORACLE)
    else:
        radius.add_(size, alpha=unit * error + (ORACLE if error else 0.0))
    return up(radius, lost)
