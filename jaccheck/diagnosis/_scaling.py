"""The right Jacobian, times a number."""

from __future__ import annotations

from math import isfinite, sqrt

import torch

from jaccheck.diagnosis._evidence import Evidence, scaled
from jaccheck.diagnosis._shape import Likeness

SHARP = 0.01  # a factor that is known less precisely, relatively, is none that could be told


def sign(evidence: Evidence) -> Likeness | None:
    """Minus the Jacobian."""
    if not evidence.explains(lambda ball: scaled(ball, -1.0, evidence.dtype)):
        return None
    return Likeness("sign", "the sign is wrong: -1 times the Jacobian")


def factor(evidence: Evidence) -> Likeness | None:
    """A number times the Jacobian: one that has a name, or at least two elements agree on."""
    got, ball = evidence.flat
    telling = ball.centre.isfinite() & (ball.centre.abs() > 2 * ball.radius) & got.isfinite()
    if not telling.any():
        return None
    slack = 2 * torch.finfo(evidence.dtype).eps * got[telling].abs() + torch.finfo(evidence.dtype).tiny
    low, high = ball.centre[telling].abs() - ball.radius[telling], ball.centre[telling].abs() + ball.radius[telling]
    towards = got[telling] * ball.centre[telling].sign()
    ends = torch.stack([(towards + s * slack) / end for s in (-1, 1) for end in (low, high)])
    least, most = float(ends.amin(0).amax()), float(ends.amax(0).amin())
    if not least <= most or not isfinite(least + most) or least <= 0 <= most or least <= 1 <= most:
        return None
    N, C = next(iter(evidence.got.values())).shape[:2]
    found = [(name, k) for name, k in named(N, C) if least <= k <= most and _fits(evidence, k)]
    if found:
        name, k = found[0]
        same = [other for other, value in found[1:] if abs(value - k) <= 1e-12 * abs(k) and not other.startswith("2/")]
        return _said(name, same, N, C)
    k = (least + most) / 2
    if most - least > SHARP * abs(k) or int(telling.sum()) < 2 or not _fits(evidence, k):
        return None
    return Likeness("factor", f"a constant factor of {f'1 {k - 1:+.2g}' if abs(k - 1) < 1e-3 else f'{k:.6g}'}")


def _said(name: str, same: list[str], N: int, C: int) -> Likeness:
    here = f", which is {' and '.join(same)} here" if same else ""
    means = {"1/N": ": a mean over the samples in place of a sum", "N": ": a sum over the samples in place of a mean"}
    if name in means and N > 1:
        return Likeness("sum and mean", f"a constant factor of {name}{here}{means[name]} (N={N})")
    sizes = f" (N={N}, C={C})" if "N" in name or "C" in name or same else ""
    return Likeness("factor", f"a constant factor of {name}{here}{sizes}")


def named(N: int, C: int) -> list[tuple[str, float]]:
    """Factors that people forget, or take twice: the commonest, those with a meaning for the sizes at hand, others."""
    first = [("2", 2.0), ("1/2", 0.5), ("√2", sqrt(2)), ("1/√2", sqrt(0.5))]
    sizes: list[tuple[str, float]] = []
    for name, size in (("N", N), ("C", C), ("(N C)", N * C)):
        if size > 1:
            bare = name.strip("()")
            sizes += [(f"1/{name}", 1 / size), (bare, size), (f"1/√{name}", 1 / sqrt(size)), (f"√{name}", sqrt(size))]
            sizes += [(f"2/{name}", 2 / size), (f"√(2/{bare})", sqrt(2 / size))]
    others = [("4", 4.0), ("1/4", 0.25), ("3", 3.0), ("1/3", 1 / 3), ("3/2", 1.5), ("2/3", 2 / 3), ("2√2", sqrt(8))]
    others += [("1/(2√2)", sqrt(0.125)), ("10", 10.0), ("1/10", 0.1), ("-2", -2.0), ("-1/2", -0.5)]
    return [(name, k) for name, k in [*first, *sizes, *others] if k != 1.0]


def _fits(evidence: Evidence, k: float) -> bool:
    return evidence.fits(lambda ball: scaled(ball, k, evidence.dtype))
