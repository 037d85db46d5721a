"""Numbers written out, and the simpler ones that may stand in for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import copysign, frexp, inf, isfinite, ldexp, prod

import torch
from torch import Tensor

from jaccheck._layers import Linear
from jaccheck._values import FORMATS, ZEROS, Number, Values, canonical

MOST_WRITTEN = 2048
"""Numbers of a tensor that are written out: larger ones stay as they are described."""
SMALL = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7)
BITS = (1, 2, 3, 4, 6, 8, 11, 16, 24)


def written(values: Values, shape: Sequence[int], dtype: str, fan_in: int = 1) -> Values:
    """The same numbers one by one, if they are not too many."""
    size = prod(shape)
    if size > MOST_WRITTEN:
        return values
    return of_tensor(values.tensor(shape, dtype, fan_in))


def of_tensor(t: Tensor) -> Values:
    """The numbers of a tensor, one for all if they are the same."""
    numbers = [canonical("number", number) for number in t.double().flatten().tolist()]
    if not any(number != 0 for number in numbers):
        return ZEROS
    return Values(numbers=(numbers[0],) if len(set(numbers)) == 1 else tuple(numbers))


def tensors(layer: Linear, fan_in: int, dtype: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer, zeros for none, in float64."""
    width = layer.width or fan_in
    weight = layer.weight.tensor((width, fan_in), dtype, fan_in).double()
    bias = torch.zeros(width, device="cpu") if layer.bias is None else layer.bias.tensor((width,), dtype)
    return weight, bias.double()


def cost(number: Number) -> float:
    """How far from simple: 0, then 1, -1, small integers, short dyadics, and last what isn't a number."""
    value = float(number)
    if not isfinite(value):
        return 100.0
    if value == 0:
        return 0.0 if copysign(1, value) > 0 else 0.5
    fraction, exponent = frexp(abs(value))
    n, e = int(fraction * 2**53), exponent - 53
    last = (n & -n).bit_length() - 1
    n, e = n >> last, e + last  # n 2^e, n odd
    return n.bit_length() + 0.5 * abs(e).bit_length() + (0.25 if e < 0 else 0) + (0.125 if value < 0 else 0)


def total_cost(values: Values | None) -> float:
    """Of all numbers in a description; one that isn't written out costs more than any that is."""
    if values is None:
        return 0.0
    described = 0.0 if values.kind == "cycle" else 1e6
    others = 50.0 * ((values.exponent != 0) + (values.rows != 0)) + 10.0 * len(values.put)
    numbers = sum(map(cost, values.numbers))
    return described + others + numbers + 0.01 * len(values.numbers) + sum(cost(number) for _, number in values.put)


def simpler(number: Number, dtype: str) -> list[Number]:
    """Numbers that cost less, the simplest first: small integers, fewer bits, an exponent nearer to 0."""
    value = float(number)
    candidates = [float(n) for n in SMALL]
    if isfinite(value) and value:
        candidates += [_shortened(value, bits, more) for bits in BITS for more in (0, 1)]
        fraction, exponent = frexp(value)
        candidates += [_times(fraction, e) for e in (exponent // 2, exponent - 1)]
        candidates += [float(round(value)), float(int(value))]
    most = _times(1.0, FORMATS[dtype].highest)
    fitting = {c for c in candidates if abs(c) < most and cost(c) < cost(number)}
    return sorted(fitting, key=lambda c: (cost(c), c))


def all_at_once(values: Values, size: int, dtype: str) -> Iterator[Values]:
    """All numbers replaced: by zeros, ones, a few different ones, one of them, or themselves with fewer bits."""
    yield ZEROS
    yield Values(numbers=(1,))
    if size > 1:
        yield Values(numbers=tuple(1 + i for i in range(min(size, 7))))
    if values.kind == "cycle" and values.numbers and not values.put:
        for number in list(dict.fromkeys(values.numbers))[:4]:
            yield Values(numbers=(number,))
        yield Values(numbers=tuple(number if isfinite(float(number)) else 0 for number in values.numbers))
        for bits in (1, 2, 4, 8):
            yield Values(numbers=tuple(_shortened(float(number), bits) for number in values.numbers))


def one_by_one(values: Values, size: int, dtype: str) -> Iterator[Values]:
    """Each number in turn replaced by a simpler one."""
    if values.kind != "cycle" or values.put:
        return
    for i, number in enumerate(values.numbers):
        for other in simpler(number, dtype):
            yield Values(numbers=(*values.numbers[:i], other, *values.numbers[i + 1 :]))


def _shortened(value: float, bits: int, more: int = 0) -> float:
    """The nearest number of so few bits, or `more` units in its last place from that."""
    if not isfinite(value) or not value:
        return value
    fraction, exponent = frexp(value)
    return _times(round(fraction * 2**bits) + (more if value > 0 else -more), exponent - bits)


def _times(n: float, e: int) -> float:
    """``n 2^e``"""
    try:
        return ldexp(n, e)
    except OverflowError:
        return copysign(inf, n)
