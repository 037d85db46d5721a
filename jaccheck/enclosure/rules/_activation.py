"""What an activation has to state, and the rule that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import EPS, Ball, up
from jaccheck.enclosure.rules._rule import NoParameters

FUNCTION = 4  # roundings that exp, log1p, tanh, erf, … count for: 2 ulp, the most that CUDA's and SLEEF's manuals state
ORACLE = 64 * EPS  # the formulas below in float64: at most 16 operations, and functions of 2 ulp
COMPOUND = 1 + 2.0**-3  # (1 + u)^k - 1 <= COMPOUND k u for all four dtypes and k <= 56


@dataclass(frozen=True)
class Activation:
    """φ, element by element: a function, its derivative, its kinks and what rounding does to it, side by side.

    Errors are those of any formula in use (torch's kernels, forward mode, BackPACK), in units of the dtype's u.
    """

    value: Callable[[Tensor], Tensor]  # φ(t)
    slope: Callable[[Tensor], Tensor]  # φ'(t); at a kink, and at NaN, what torch's own derivative gives
    value_error: Callable[[Tensor, Tensor], Tensor | float]  # of t and φ(t)
    slope_error: Callable[[Tensor, Tensor, Tensor], Tensor | float]  # of t, φ(t) and φ'(t)
    max_curvature: float = 0.0  # sup |φ''| away from the kinks
    decay: float = inf  # sup |φ'' / φ'|: where φ is flat, so is φ'
    linear_above: float = inf  # φ'' = 0 from here on
    kinks: tuple[tuple[float, float, float], ...] = ()  # (t, |jump of φ'|, |jump of φ|) there
    floor: float = 0.0  # what both lose where a term overflows on the way, in units of 1 / (the largest number)
    at_infinity: bool = True  # the formulas hold for t = ±∞ as well
    at_nan: bool = True  # the slope holds at NaN; False where torch's scalar and vector kernels differ


class Elementwise(NoParameters):
    """``a = φ(z)``, so that ``∂f/∂z = D φ'(z)``."""

    def __init__(self, phi: Activation) -> None:
        self.phi = phi

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        phi = self.phi
        t, r = z.centre, z.radius
        value, slope = phi.value(t), phi.slope(t)
        unit = (fl.u + EPS / 2) * COMPOUND  # theirs and ours
        # A shift by δ moves φ by at most |δ| sup |φ'| and φ' by at most |δ| sup |φ''|; a kink in reach adds its jumps.
        steepest, jump, step = slope.abs(), 0.0, 0.0
        for kink, slope_jump, value_jump in phi.kinks:
            near = (t - kink).abs() <= r * (1 + EPS) + 2 * fl.u * abs(kink)  # the kink may be a rounded number, too
            jump = near * slope_jump + jump
            if value_jump:
                step = near * value_jump + step
        steepest = steepest + jump
        slope_radius = jump + unit * phi.slope_error(t, value, slope) + slope.abs() * ORACLE
        if phi.max_curvature:
            steepest = steepest + phi.max_curvature * r
            bend = (steepest * phi.decay).clamp(max=phi.max_curvature) if phi.decay < inf else phi.max_curvature
            if phi.linear_above < inf:
                bend = bend * (t - r <= phi.linear_above * (1 + EPS))
            slope_radius = slope_radius + r * bend
        value_radius = r * steepest + step + unit * phi.value_error(t, value) + value.abs() * ORACLE
        floor = 4 * fl.eta + phi.floor / fl.opmath_largest
        self.psi = fl.applied(z, slope, up(slope_radius.add_(floor)), at_infinity=phi.at_infinity, at_nan=phi.at_nan)
        return fl.applied(z, value, up(value_radius.add_(floor)), at_infinity=phi.at_infinity)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …] -> [N, C, …]
        return (fl.product(D, self.psi.moved(lambda t: t[:, None])),)
