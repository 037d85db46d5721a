"""What the oracle takes for granted: that torch's own arithmetic in float64 is right. It is asked each time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from jaccheck.enclosure.ball import EPS

_FUNCTIONS: tuple[tuple[str, Callable[[Tensor], Tensor], Callable[[float], float]], ...] = (
    ("exp", torch.Tensor.exp, math.exp),
    ("expm1", torch.Tensor.expm1, math.expm1),
    ("log1p of a square", lambda t: (t * t).log1p(), lambda t: math.log1p(t * t)),
    ("erfc", torch.erfc, math.erfc),
    ("reciprocal of exp", lambda t: t.exp().reciprocal(), lambda t: 1 / math.exp(t)),
    ("log1p(exp(-|t|)) in place", lambda t: t.abs().neg_().exp_().log1p_(), lambda t: math.log1p(math.exp(-abs(t)))),
    ("expm1(-|t|) in place", lambda t: t.abs().neg_().expm1_(), lambda t: math.expm1(-abs(t))),
    ("1 / exp(-t)² in place", lambda t: t.neg().exp_().square_().reciprocal_(), lambda t: math.exp(-t) ** -2),
)
"""Those that the rules use, and the same by the C library, which shares nothing with torch's vector code.

What torch does in place is a kernel of its own, and so is the product of several matrices.
"""
_ARGUMENTS = (-19.5, -4.75, -1.0, -0.3125, -0.0009765625, 0.0, 0.15625, 0.75, 1.0, 2.375, 5.5, 17.25)
_ULPS = 16  # what two right libraries may differ by, and more than erfc's arguments cost far out
_PRODUCT = (7, 33, 5)  # more than a vector and a bit, in each direction


@lru_cache(maxsize=4)
def _expected(device: torch.device) -> tuple[Tensor, ...]:
    """Arguments of the functions, values and bounds of these; two matrices of integers, each twice, and their product.

    By Python's own numbers.
    """
    values = [[function(t) for t in _ARGUMENTS] for _, _, function in _FUNCTIONS]
    rows, n, columns = _PRODUCT
    a = [[(3 * i + 5 * j) % 11 - 5 for j in range(n)] for i in range(rows)]
    b = [[(7 * i + 2 * j) % 13 - 6 for j in range(columns)] for i in range(n)]
    ab = [[sum(a[i][k] * b[k][j] for k in range(n)) for j in range(columns)] for i in range(rows)]
    low, high = ([[v + side * _ULPS * EPS * abs(v) for v in row] for row in values] for side in (-1, 1))
    numbers = (_ARGUMENTS, values, low, high, [a, a], [b, b], ab)
    return tuple(torch.tensor(t, dtype=torch.float64, device=device) for t in numbers)


def wrong_operation(device: torch.device) -> tuple[str, float, float] | None:
    """An operation in float64 that is wrong, with what it gives and what is right; None if all are as they should be.

    Tried on a few numbers, to take microseconds: it tells of a torch that has been changed, not of rare arguments.
    """
    t, values, low, high, a, b, ab = _expected(device)
    with torch.inference_mode():
        product, products = a[0] @ b[0], a @ b
        found = torch.stack([function(t) for _, function, _ in _FUNCTIONS])
        if torch.equal(found, found.clamp(low, high)) and all(torch.equal(one, ab) for one in (product, *products)):
            return None  # none of which holds of a NaN
        wrong = ~((low <= found) & (found <= high))
    for operation, got in (("matmul", product), *(("matmul of two pairs", one) for one in products)):
        if (differs := got != ab).any():
            return operation, float(got[differs][0]), float(ab[differs][0])
    i, j = (int(k) for k in wrong.nonzero()[0])
    return _FUNCTIONS[i][0], float(found[i, j]), float(values[i, j])
