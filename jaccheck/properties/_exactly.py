"""Arithmetic without rounding: it gives exact values, and says where a path would have to round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp

import torch
from torch import Tensor

from jaccheck._values import FORMATS
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.probe import arithmetic
from jaccheck.enclosure.rules._activation import Activation

DOUBLE = FORMATS["float64"].precision
ANY = 1 << 16  # bits: more than numbers can have
ABOVE = 1 + 2.0**-30  # a sum of fewer than 2^22 magnitudes in float64, times this, is no less than the real one


class Rounds(Exception):
    """Something isn't exact; the message says what."""


@dataclass(frozen=True)
class Grid:
    """Some numbers are multiples of ``2**unit``, and none exceeds `largest` in magnitude."""

    unit: int
    largest: float

    @property
    def bits(self) -> int:
        """The bits of the largest multiple."""
        return frexp(self.largest)[1] - self.unit


@dataclass(frozen=True, eq=False)
class Exactly(Arithmetic):
    """The numbers of one dtype, among which each result has to be, in whatever order a sum is taken.

    Balls have no radius. A sum is exact in any order if all terms are multiples of one power of two, and the sum of
    their magnitudes is no more than ``2**bits`` multiples of it: each partial sum then is a number of the dtype, and of
    any accumulator that is at least as precise. What is done on the way in float64 is held to the same.
    """

    bits: int = DOUBLE
    operand_bits: int = ANY
    """Of what is multiplied by a matrix, which the device may round first."""
    lowest: int = 0
    """The exponent of the smallest multiples that may occur."""

    @classmethod
    def of(cls, x: Tensor, margin: int) -> Exactly:
        """For the dtype and device of `x`, if no number is smaller than ``2**margin`` smallest ones."""
        form = next(form for form in FORMATS.values() if form.dtype is x.dtype)
        device = arithmetic(x.dtype, x.device)
        operand = frexp(1 / device.operand)[1] - 1 if device.operand else ANY
        lowest = form.lowest + margin + (form.precision - 1 if device.flushed else 0)
        return cls(**vars(device), bits=form.precision, operand_bits=operand, lowest=lowest)

    def number(self, c: float, like: Tensor) -> Ball:
        centre = like.new_tensor(c)
        self._holds("a number", centre)
        return _exact(centre)

    def rounded(self, t: Ball, k: int = 1) -> Ball:
        if k:
            raise Rounds("there are sums over axes that were broadcast, or over positions")
        return t

    def gamma_sum(self, n: int) -> float:
        return 0.0

    def added(self, s: Ball, t: Ball, k: int = 1) -> Ball:
        return self.total((s, t))

    def product(self, s: Ball, t: Ball, k: int = 1, *, underflows: Tensor | float = 0.0) -> Ball:
        one, other = grid(s.centre), grid(t.centre)
        if k > 1 and max(one.bits, other.bits) > min(self.bits, DOUBLE // 2):
            raise Rounds("a number isn't one of the dtype")
        if one.bits + other.bits > DOUBLE:
            raise Rounds(f"a product needs {one.bits + other.bits} bits")
        centre = s.centre * t.centre
        self._holds("a product", centre)
        return _exact(centre)

    def outer(self, s: Ball, t: Ball) -> Ball:
        self._multiplied(grid(s.centre), grid(t.centre))
        return self.product(s, t)

    def contraction(
        self, t: Ball, matrix: Tensor, bias: Tensor | None = None, *, absolute: Tensor | None = None
    ) -> Ball:
        one, other = grid(t.centre), grid(matrix)
        self._multiplied(one, other)
        unit = one.unit + other.unit
        if bias is not None:
            unit = min(unit, grid(bias).unit)
        magnitude = t.centre.abs() @ matrix.abs() + (0.0 if bias is None else bias.abs())
        self._fits("a sum of products", Grid(unit, _largest(magnitude)))
        centre = t.centre @ matrix
        return _exact(centre if bias is None else centre + bias)

    def total(self, parts: Sequence[Ball]) -> Ball:
        if len(parts) == 1:
            return parts[0]
        grids = [grid(part.centre) for part in parts]
        self._fits("a sum", Grid(min(g.unit for g in grids), sum(g.largest for g in grids)))
        centre = parts[0].centre
        for part in parts[1:]:
            centre = centre + part.centre
        return _exact(centre)

    def evaluated(self, phi: object, z: Ball) -> None:
        assert isinstance(phi, Activation)
        t = z.centre
        kinks = [abs(number) for kink in phi.kinks for number in (kink[0], kink[2])]
        self._holds("a parameter of an activation", t.new_tensor(kinks))
        if not phi.exact and (phi.exact_where is None or not phi.exact_where(t).all()):
            raise Rounds("an activation is evaluated where its value or derivative is rounded")

    def applied(
        self, z: Ball, value: Tensor, radius: Tensor, *, at_infinity: bool, at_nan: bool = True, lost: float = 0.0
    ) -> Ball:
        self._holds("a value or derivative of an activation", value)
        return _exact(value)

    def _multiplied(self, one: Grid, other: Grid) -> None:
        """Whether the operands of a product of matrices are what they are after they have been rounded."""
        if max(one.bits, other.bits) > self.operand_bits:
            raise Rounds(f"matrices are multiplied with {self.operand_bits} bits")

    def _holds(self, what: str, t: Tensor) -> None:
        """Whether each number by itself is one of the dtype."""
        fraction = torch.frexp(t)[0]
        scaled = fraction * 2.0**self.bits
        if not t.isfinite().all() or (scaled != scaled.round()).any():
            raise Rounds(f"{what} needs more than {self.bits} bits")
        own = grid(t)
        if own.largest > self.largest:
            raise Rounds(f"{what} overflows")
        self._fits(what, Grid(max(own.unit, self.lowest) if not own.largest else own.unit, 0.0))

    def _fits(self, what: str, sums: Grid) -> None:
        """Whether all multiples up to the largest are numbers of the dtype."""
        if sums.unit < self.lowest:
            raise Rounds(f"{what} is a multiple of 2^{sums.unit}, and may underflow")
        if not sums.largest <= self.largest or sums.unit > 1023:
            raise Rounds(f"{what} overflows")
        if sums.largest * ABOVE > 2.0**self.bits * 2.0**sums.unit:
            raise Rounds(f"{what} may need {sums.bits} bits")


def grid(t: Tensor) -> Grid:
    """The coarsest grid of a float64 tensor."""
    if not t.isfinite().all():
        raise Rounds("a number isn't finite")
    largest = _largest(t)
    if not largest:
        return Grid(0, 0.0)
    fraction, exponent = torch.frexp(t)
    integer = (fraction * 2.0**DOUBLE).long()  # t = integer 2^(exponent - 53)
    last = torch.frexp((integer & -integer).double())[1] - 1
    unit = torch.where(integer != 0, last + exponent - DOUBLE, torch.iinfo(torch.int32).max)
    return Grid(int(unit.amin()), largest)


def _largest(t: Tensor) -> float:
    return float(t.abs().amax()) if t.numel() else 0.0


def _exact(centre: Tensor) -> Ball:
    return Ball(centre, torch.zeros_like(centre))
