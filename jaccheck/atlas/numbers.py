"""All finite numbers of a dtype in order, what a derivative there rounds to, and by how many last places one is off."""

from __future__ import annotations

import torch
from torch import Tensor

from jaccheck._values import Format
from jaccheck.enclosure.rules._activation import Activation


def count(form: Format) -> int:
    """How many finite numbers there are, 0 and -0 being two."""
    return 2 * form.infinity


def between(form: Format, first: int, last: int) -> Tensor:
    """Numbers `first` to `last` - 1 in order, number 0 being the lowest."""
    rank = torch.arange(first - form.infinity, last - form.infinity, device="cpu")
    bits = torch.where(rank >= 0, rank, -rank - 1 - (1 << (form.size - 1)))
    return bits.to(form.integer).view(form.dtype)


def rounded_slope(phi: Activation, z: Tensor) -> Tensor:
    """φ'(z), correctly rounded to the dtype of z (16 or 32 bits), in float64.

    The float64 formula is off by a few units of 2^-53 of the slope, or of the terms that cancel in it. So it rounds to
    another number than φ' does only where φ' lies as close as that to the middle of two numbers, 2^-12 of it apart in
    float16 and 2^-9 in bfloat16: of 65,536 arguments that is none, as is tested by Arb. In float32, with 2^-25, it may
    be some tens of 2^32 arguments, by one last place.
    """
    slope = phi.slope(z.double())
    return slope.to(z.dtype).double()


def last_place(form: Format, value: Tensor) -> Tensor:
    """The distance of float64 `value` to the next number of the dtype, away from 0."""
    exponent = torch.frexp(value)[1] - form.precision
    exponent = torch.where((value == 0) | ~value.isfinite(), form.lowest, exponent).clamp(min=form.lowest)
    return torch.ldexp(torch.ones_like(value), exponent)


def places_off(form: Format, got: Tensor, expected: Tensor) -> Tensor:
    """How many last places of `expected` (float64) `got` is off; infinitely many for NaN."""
    off = (got.double() - expected).abs() / last_place(form, expected)
    return torch.where(got.double() == expected, 0.0, off.nan_to_num(nan=torch.inf, posinf=torch.inf))


def at_kinks(phi: Activation, z: Tensor) -> Tensor:
    """Where φ' jumps, or may jump in the dtype of z, in which the kink's own number is rounded: nothing is expected."""
    info, t = torch.finfo(z.dtype), z.double()
    near = torch.zeros_like(t, dtype=torch.bool)
    for kink, _, _ in phi.kinks:
        blur = phi.kink_blur * info.smallest_normal * info.eps
        near |= (t - kink).abs() <= 1.5 * info.eps * abs(kink) + blur
    return near
