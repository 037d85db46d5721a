"""Values that can be named: NaN, infinities, zeros, and those that a narrower dtype has."""

from __future__ import annotations

import torch
from torch import Tensor

from jaccheck.diagnosis._evidence import Evidence
from jaccheck.diagnosis._shape import Likeness, counted
from jaccheck.enclosure import Ball

NARROWER = {
    torch.float64: (torch.float32, torch.float16, torch.bfloat16),
    torch.float32: (torch.float16, torch.bfloat16),
    torch.float16: (torch.bfloat16,),
    torch.bfloat16: (torch.float16,),
}
"""Dtypes with numbers that a dtype lacks or has too many of, by falling precision."""

MOST_ULPS = 64.0
MOST_RELATIVE = 0.02
"""Errors, in units in the last place and relative to the value, that are called inaccurate; larger ones are wrong."""
TELLING = 8
"""Times a radius has to fit into some wrong value, if being within it shall mean anything."""


def nan_for_finite(evidence: Evidence) -> Likeness | None:
    """Whatever is wrong is NaN, and should be finite."""
    got, centre, total = _wrong(evidence)
    if not (got.isnan() & centre.isfinite()).all():
        return None
    return Likeness("NaN where finite", f"NaN where a finite value belongs, in {counted(len(got), total)}")


def infinite_for_finite(evidence: Evidence) -> Likeness | None:
    """Whatever is wrong is infinite or NaN, and should be finite: an overflow on the way."""
    got, centre, total = _wrong(evidence)
    if got.isfinite().any() or not centre.isfinite().all():
        return None
    what = "infinite" if got.isinf().all() else "infinite or NaN"
    return Likeness("infinite where finite", f"{what} where a finite value belongs, in {counted(len(got), total)}")


def finite_for_not_finite(evidence: Evidence) -> Likeness | None:
    """Whatever is wrong is a number where the Jacobian isn't one."""
    got, centre, total = _wrong(evidence)
    if not got.isfinite().all() or centre.isfinite().any():
        return None
    zero = "zero" if not got.any() else "a finite value"
    return Likeness("finite where NaN", f"{zero} where NaN or an infinity belongs, in {counted(len(got), total)}")


def flushed(evidence: Evidence) -> Likeness | None:
    """Whatever is wrong is zero, and should be a subnormal number of the dtype."""
    got, centre, total = _wrong(evidence)
    normal = torch.finfo(evidence.dtype).smallest_normal
    if got.any() or not (centre.abs() < 2 * normal).all():
        return None
    return Likeness("flush to zero", f"flushed to zero: subnormal numbers, {counted(len(got), total)}")


def zeros(evidence: Evidence) -> Likeness | None:
    """Whatever is wrong is zero."""
    got, _, total = _wrong(evidence)
    if got.any():
        return None
    known = evidence.flat[0]
    where = "everywhere" if not known.any() and len(known) > 1 else f"in {counted(len(got), total)}"
    return Likeness("zero", f"zero where it shouldn't be, {where}")


def rounded(evidence: Evidence) -> Likeness | None:
    """The right values, rounded to another dtype in the end: rounding is monotone."""
    got, ball = evidence.flat
    for dtype in NARROWER[evidence.dtype] if got[ball.excludes(got)].any() else ():
        if not _among(got, dtype):
            continue
        low, high = (_to(end, dtype) for end in (ball.centre - ball.radius, ball.centre + ball.radius))
        between = ((low <= got) & (got <= high)) | (~ball.centre.isfinite() & ~got.isfinite())
        if between.all():
            return Likeness("lower precision", f"rounded to {_name(dtype)}, element by element")
    return None


def computed(evidence: Evidence) -> Likeness | None:
    """Numbers of a narrower dtype, as far off as its rounding takes a correct computation in it.

    The radius is proportional to the unit roundoff, but for higher orders and underflow: for these, twice as much.
    Where that has room for anything else, it says nothing.
    """
    got, ball = evidence.flat
    wrong = ball.excludes(got)
    for dtype in NARROWER[evidence.dtype] if got[wrong].any() else ():
        finfo, own = torch.finfo(dtype), torch.finfo(evidence.dtype)
        if finfo.eps <= own.eps or not _among(got, dtype):
            continue
        radius = ball.radius * (2 * finfo.eps / own.eps) + 2 * finfo.smallest_normal * finfo.eps
        telling = TELLING * radius < ball.centre.abs()
        if telling[wrong].any() and not Ball(ball.centre, radius).excludes(got).any():
            return Likeness("lower precision", f"as if computed in {_name(dtype)}: each value is one of its numbers")
    return None


def inaccurate(evidence: Evidence) -> Likeness | None:
    """The right values, but for some more roundings than there should be."""
    got, ball = evidence.flat
    outside = ball.excludes(got)
    ulps = (got - ball.centre).abs()[outside] / (torch.finfo(evidence.dtype).eps * ball.centre.abs()[outside])
    worst = float(ulps.max())
    if not worst <= min(MOST_ULPS, MOST_RELATIVE / torch.finfo(evidence.dtype).eps):
        return None
    return Likeness("inaccurate", f"rounded too often: at most {worst:.2g} units in the last place off")


def _wrong(evidence: Evidence) -> tuple[Tensor, Tensor, int]:
    """What came out and what should have, where it is wrong, and of how many elements something is known."""
    wrong = {name: evidence.outside[name] for name in evidence.wrong}
    got = torch.cat([evidence.got[name][mask].double() for name, mask in wrong.items()])
    return got, torch.cat([evidence.balls[name].centre[mask] for name, mask in wrong.items()]), evidence.known


def _among(got: Tensor, dtype: torch.dtype) -> bool:
    """Whether all are numbers of `dtype`."""
    return bool((_to(got, dtype) == got)[got.isfinite()].all())


def _to(t: Tensor, dtype: torch.dtype) -> Tensor:
    return t.to(dtype).double()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
