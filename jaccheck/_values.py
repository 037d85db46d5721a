"""The numbers of a tensor as plain data, and their bits in a dtype: by integers alone, so the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import copysign, frexp, inf, isfinite, isnan, prod
from reprlib import Repr
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ._errors import InvalidProblem

Number = int | float | str
"""A finite float, an int of at most 53 bits, or one of ``"nan"``, ``"inf"``, ``"-inf"``, ``"-0.0"``."""

KINDS = ("cycle", "choice", "uniform", "wide")
MAX_EXPONENT = 4096  # takes every double to 0 or to infinity
_SPECIAL = ("nan", "inf", "-inf", "-0.0")


@dataclass(frozen=True)
class Format:
    """The bits of an IEEE 754 binary format: sign, exponent, significand."""

    dtype: torch.dtype
    integer: torch.dtype  # of the same size
    size: int  # bits in all
    precision: int  # bits of the significand, the implicit one included

    @property
    def top(self) -> int:
        """The exponent field of infinity."""
        return (1 << (self.size - self.precision)) - 1

    @property
    def lowest(self) -> int:
        """The exponent of the smallest subnormal: ``2**lowest``."""
        return 3 - self.precision - (self.top + 1) // 2

    @property
    def highest(self) -> int:
        """The exponent of the first power of two that overflows."""
        return (self.top + 1) // 2

    @property
    def infinity(self) -> int:
        return self.top << (self.precision - 1)


FORMATS = MappingProxyType(
    {
        "float64": Format(torch.float64, torch.int64, 64, 53),
        "float32": Format(torch.float32, torch.int32, 32, 24),
        "float16": Format(torch.float16, torch.int16, 16, 11),
        "bfloat16": Format(torch.bfloat16, torch.int16, 16, 8),
    }
)
DTYPES = tuple(FORMATS)


@dataclass(frozen=True, repr=False)
class Spec:
    """Plain data whose repr leaves out what is as by default."""

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in changed(self))
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis and IPython show, instead of all fields."""
        printer.text(repr(self))


def changed(spec: Spec) -> list[str]:
    """The names of the fields that differ from their default."""
    fields = type(spec).__dataclass_fields__
    return [name for name, field in fields.items() if getattr(spec, name) != field.default]


def invalid(field: str, got: object, should: str) -> InvalidProblem:
    return InvalidProblem(f"{field} is {_SHORT.repr(got)}, but should be {should}")


_SHORT = Repr()  # neither long nor deep, whatever the user gave
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60


def an_integer(field: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise invalid(field, value, f"an integer from {low} to {high}")


def a_bool(field: str, value: object) -> None:
    if type(value) is not bool:
        raise invalid(field, value, "true or false")


def one_of(field: str, value: object, choices: Iterable[str]) -> None:
    known = tuple(choices)
    if type(value) is not str or value not in known:
        near = get_close_matches(value, known, n=1) if isinstance(value, str) else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise invalid(field, value, f"one of {', '.join(known)}{hint}")


def a_tuple(field: str, value: object) -> None:
    if type(value) is not tuple:
        raise invalid(field, value, "a tuple" if not isinstance(value, list) else "a tuple, which can be hashed")


def canonical(field: str, value: Any) -> Number:
    """The one way to write a number, so that networks with the same bits are equal (NaN isn't equal to itself)."""
    if type(value) is int and abs(value) <= 1 << 53:
        return value
    if type(value) is str and value in _SPECIAL:
        return value
    if type(value) is float:
        if not isfinite(value) or (value == 0 and copysign(1, value) < 0):
            return "nan" if isnan(value) else str(value)
        return int(value) if value.is_integer() and abs(value) <= 1 << 53 else value
    raise invalid(field, value, f"a float, an integer of at most 53 bits, or one of {', '.join(_SPECIAL)}")


@dataclass(frozen=True, repr=False)
class Values(Spec):
    """What stands in a tensor of any shape; by default zeros.

    Kinds, `w` being the stream of 32-bit integers that `seed` starts, two for each element (see `_stream`):

    - ``"cycle"``: `numbers`, over and over, in row-major order (none: zeros).
    - ``"choice"``: for each element one of `numbers`, the one at ``w % len(numbers)``.
    - ``"uniform"``: evenly distributed in (-2, 2) without (-2**-8, 2**-8), with a full significand.
    - ``"wide"``: magnitudes from 2**-24 to 2**8, each power of two as likely as another, with a full significand.

    All are then multiplied by ``2**exponent``; ``"cycle"`` and ``"choice"`` round to nearest, ties to even, the others
    toward zero (in the subnormals: they need no rounding elsewhere), and all overflow to infinity. ``"uniform"`` and
    ``"wide"`` weights are divided by about ``sqrt(fan_in)`` moreover, by ``2**(fan_in.bit_length() // 2)``.
    """

    kind: str = "cycle"
    numbers: tuple[Number, ...] = ()
    seed: int = 0  # 0 to 2**32 - 1
    exponent: int = 0
    rows: int = 0  # the number of different rows (samples, units), which then repeat; 0: all of them
    put: tuple[tuple[int, Number], ...] = ()  # (i, number): that number, not scaled, at flat index i % numel

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        a_tuple("numbers", self.numbers)
        numbers = tuple(canonical(f"numbers[{i}]", number) for i, number in enumerate(self.numbers))
        object.__setattr__(self, "numbers", numbers)
        an_integer("seed", self.seed, 0, 2**32 - 1)
        an_integer("exponent", self.exponent, -MAX_EXPONENT, MAX_EXPONENT)
        an_integer("rows", self.rows, 0, 2**32)
        a_tuple("put", self.put)
        put = []
        for i, pair in enumerate(self.put):
            if type(pair) is not tuple or len(pair) != 2:
                raise invalid(f"put[{i}]", pair, "a pair of index and number")
            an_integer(f"put[{i}][0]", pair[0], 0, 2**53)
            put.append((pair[0], canonical(f"put[{i}][1]", pair[1])))
        object.__setattr__(self, "put", tuple(put))
        if self.numbers and self.kind not in ("cycle", "choice"):
            raise invalid("numbers", self.numbers, f"empty where kind is {self.kind!r}")
        if self.seed and self.kind == "cycle":
            raise invalid("seed", self.seed, "0 where kind is 'cycle'")

    def tensor(self, shape: Sequence[int], dtype: str, fan_in: int = 1) -> Tensor:
        """The numbers in `shape` on the CPU, contiguous."""
        form = FORMATS[dtype]
        size = prod(shape)
        count = min(size, self.rows * prod(shape[1:])) if self.rows else size
        bits = self._bits(count, form, fan_in)
        if count < size:
            bits = bits[torch.arange(size, device="cpu") % max(count, 1)]
        if size:
            for i, number in self.put:
                bits[i % size] = encoded(number, 0, form)
        return bits.to(form.integer).view(form.dtype).reshape(tuple(shape))

    def _bits(self, count: int, form: Format, fan_in: int) -> Tensor:
        if self.kind in ("cycle", "choice"):
            patterns = [encoded(number, self.exponent, form) for number in self.numbers] or [0]
            table = torch.tensor(patterns, dtype=torch.int64, device="cpu")
            index = _stream(self.seed, count) if self.kind == "choice" else torch.arange(count, device="cpu")
            return table[index % len(patterns)]
        return _random_bits(self.kind, self.seed, count, self.exponent - fan_in.bit_length() // 2, form)


ZEROS = Values()


def encoded(number: Number, exponent: int, form: Format) -> int:
    """The bits of ``number * 2**exponent``, rounded to nearest, ties to even, as a signed integer."""
    value = float(number)
    sign = -1 << (form.size - 1) if copysign(1, value) < 0 else 0
    if isnan(value):
        return form.infinity + (1 << (form.precision - 2))  # the quiet NaN
    if abs(value) == inf:
        return sign + form.infinity
    fraction, power = frexp(abs(value))
    n, e = int(fraction * 2**53), power - 53 + exponent  # n 2^e, exactly
    q = max(e + n.bit_length() - form.precision, form.lowest)  # the exponent of the last place
    if q > e:
        half, n = n & ((1 << (q - e)) - 1), n >> (q - e)
        tie = 1 << (q - e - 1)
        n += half > tie or (half == tie and n & 1)
    else:
        n <<= e - q
    if n == 0:
        return sign
    return sign + min(n + ((q - form.lowest) << (form.precision - 1)), form.infinity)


_MASK = 0xFFFFFFFF


def _mixed(w: Any) -> Any:
    """A bijection of 32-bit integers (T. Mueller's hash); no product reaches 2**63, so int64 never overflows."""
    w = ((w ^ (w >> 16)) * 0x45D9F3B) & _MASK
    w = ((w ^ (w >> 16)) * 0x45D9F3B) & _MASK
    return w ^ (w >> 16)


def _stream(seed: int, count: int) -> Tensor:
    """``w[i] = mixed(mixed(seed + 0x9E3779B9) + i)`` modulo 2**32, as int64."""
    start = _mixed((seed + 0x9E3779B9) & _MASK)
    return _mixed(torch.arange(start, start + count, device="cpu") & _MASK)  # type: ignore[no-any-return]


def _trailing_zeros(byte: int) -> int:
    return (byte & -byte).bit_length() - 1 if byte else 8


# Bits 23 to 30 of w say by how many powers of two the number lies below the first: geometrically distributed, which
# makes the whole evenly distributed, or one of 32 alike.
_BELOW = {
    "uniform": torch.tensor([_trailing_zeros(byte) for byte in range(256)], device="cpu"),
    "wide": torch.tensor([byte % 32 - 7 for byte in range(256)], device="cpu"),
}
_RANGE = {kind: (int(below.min()), int(below.max())) for kind, below in _BELOW.items()}


def _random_bits(kind: str, seed: int, count: int, exponent: int, form: Format) -> Tensor:
    w = _stream(seed, count)
    field = (exponent + (form.top >> 1)) - _BELOW[kind][(w >> 23) & 0xFF]  # biased exponents
    explicit = form.precision - 1  # bits of the significand that are stored
    if explicit <= 23:
        fraction = (w & 0x7FFFFF) >> (23 - explicit)
    else:
        fraction = ((w & 0x7FFFFF) << (explicit - 23)) | (_mixed((w + 0x9E3779B9) & _MASK) >> (55 - explicit))
    last, first = (exponent + (form.top >> 1) - below for below in _RANGE[kind])
    bits = (field.clamp(0, form.top - 1) << explicit) + fraction
    if first < 1:  # subnormal: the leading bit moves into the significand
        subnormal = (fraction + (1 << explicit)) >> (1 - field).clamp(0, 63)
        bits = torch.where(field < 1, subnormal, bits)
    if last >= form.top:
        bits = bits.masked_fill(field >= form.top, form.infinity)
    return bits + (w >> 31) * -(1 << (form.size - 1))  # the sign
