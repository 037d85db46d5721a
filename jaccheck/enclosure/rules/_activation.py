"""What an activation has to state, and the rule that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.rules._rule import NoParameters

FUNCTION = 4  # roundings that exp, log1p, tanh, erf, … count for: 2 ulp, the most that CUDA's and SLEEF's manuals state
ORACLE = 64 * EPS  # the formulas below in float64: at most 16 operations, and functions of 2 ulp
COMPOUND = 1 + 2.0**-3  # (1 + u)^k - 1 <= COMPOUND k u for all four dtypes and k <= 56


@dataclass(frozen=True)
class Span:
    """Where the argument of a function lies: between `low` and `high`, and no farther from 0 than `mag`."""

    low: Tensor
    high: Tensor

    @property
    def mag(self) -> Tensor:
        return self.low.abs().maximum(self.high.abs())


@dataclass(frozen=True)
class Activation:
    """φ, element by element: a function, its derivative, its kinks and what rounding does to it, side by side.

    Errors are those of any formula in use (torch's kernels, forward mode, BackPACK), in units of the dtype's u. They
    hold for all arguments in a span, and grow with the bounds of |φ| and |φ'| there, which they are given.
    """

    value: Callable[[Tensor], Tensor]  # φ(t)
    slope: Callable[[Tensor], Tensor]  # φ'(t); at a kink, and at NaN, what torch's own derivative gives
    value_error: Callable[[Span, Tensor], Tensor | float]  # of the span and sup |φ|
    slope_error: Callable[[Span, Tensor, Tensor], Tensor | float]  # of the span, sup |φ| and sup |φ'|
    max_curvature: float = 0.0  # sup |φ''| away from the kinks
    decay: float = inf  # sup |φ'' / φ'|: where φ is flat, so is φ'
    linear_above: float = inf  # φ'' = 0 from here on
    kinks: tuple[tuple[float, float, float], ...] = ()  # (t, |jump of φ'|, |jump of φ|) there
    kink_blur: float = 0.0  # how far underflow moves a kink, in units of η
    underflow: Callable[[Span], Tensor | float] = lambda t: 4.0  # what it costs φ and φ', in units of η
    floor: float = 0.0  # what both lose where a term overflows on the way, in units of 1 / (the largest number)
    on_the_way: Callable[[Span], Tensor] | None = None  # numbers that overflow before φ does: there nothing is known
    factor: float = 1.0  # a constant by which D may be multiplied before the rest of φ'
    exact: bool = False  # neither formula rounds, and a path's doesn't
    exact_where: Callable[[Tensor], Tensor] | None = None  # that holds where this does, for what the dtype can hold
    at_infinity: bool = True  # the formulas hold for t = ±∞ as well
    at_nan: bool = True  # the slope holds at NaN; False where torch's scalar and vector kernels differ


class Elementwise(NoParameters):
    """``a = φ(z)``, so that ``∂f/∂z = D φ'(z)``."""

    def __init__(self, phi: Activation) -> None:
        self.phi = phi

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        phi = self.phi
        fl.evaluated(phi, z)
        t, r = z.centre, z.radius
        value, slope = phi.value(t), phi.slope(t)
        unit = (fl.u + EPS / 2) * COMPOUND  # theirs and ours
        # A shift by δ moves φ by at most |δ| sup |φ'| and φ' by at most |δ| sup |φ''|; a kink in reach adds its jumps.
        steepest: Tensor = slope.abs()
        jump: Tensor | float = 0.0
        step: Tensor | float = 0.0
        for kink, slope_jump, value_jump in phi.kinks:
            if kink:  # a number that was rounded, perhaps, up to three times
                near = (t - kink).abs() <= r * (1 + EPS) + (3 * fl.u * abs(kink) + phi.kink_blur * fl.eta)
            else:
                near = t.abs() <= r + phi.kink_blur * fl.eta
            jump = near.double() * slope_jump + jump
            if value_jump:
                step = near.double() * (value_jump * (1 + 2 * fl.u)) + step
        steepest = steepest + jump if phi.kinks else steepest
        slope_radius: Tensor | float = jump
        if phi.max_curvature:
            steepest = steepest + phi.max_curvature * r
            bend = (steepest * phi.decay).clamp(max=phi.max_curvature) if phi.decay < inf else phi.max_curvature
            if phi.linear_above < inf:
                bend = bend * (t - r <= phi.linear_above * (1 + EPS))
            slope_radius = slope_radius + r * bend
        value_radius = r * steepest + step
        slope_radius = slope_radius if isinstance(slope_radius, Tensor) else torch.zeros_like(t)
        if not phi.exact:
            span = Span(t - r, t + r)
            size, slope_size = value.abs().add_(value_radius), slope.abs().add_(slope_radius)
            value_radius = (value_radius + unit * phi.value_error(span, size)).add_(size, alpha=ORACLE)
            slope_radius = slope_radius + unit * phi.slope_error(span, size, slope_size)
            slope_radius = slope_radius.add_(slope_size, alpha=ORACLE)
            lost = fl.eta * phi.underflow(span) + phi.floor / fl.opmath_largest
            value_radius, slope_radius = up(value_radius.add_(lost)), up(slope_radius.add_(lost))
            if phi.on_the_way is not None:
                value_radius = torch.where(phi.on_the_way(span) < fl.opmath_largest, value_radius, inf)
        self.psi = fl.applied(z, slope, slope_radius, at_infinity=phi.at_infinity, at_nan=phi.at_nan)
        return fl.applied(z, value, value_radius, at_infinity=phi.at_infinity)

    @property
    def gain(self) -> float:
        steepest = self.psi.centre.abs()  # a wide ball reaches further than φ' does anywhere
        return float((2 * steepest[steepest.isfinite()] + 1).max()) if steepest.isfinite().any() else 1.0

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …] -> [N, C, …]
        product = fl.product(D, self.psi.moved(lambda t: t[:, None]))
        return (fl.within(product, D.mag * self.phi.factor) if self.phi.factor > 1 else product,)
