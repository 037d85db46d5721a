"""How far two numbers of a floating-point dtype are from one another, counted in the numbers between them."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from jaccheck._same import same

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


def ulps(a: Tensor, b: Tensor) -> Tensor:
    """The number of steps from `a` to `b` through the numbers of their dtype, in float64.

    0 and -0 are the same number, and so is NaN to NaN; from NaN to a number it is infinitely far. Infinity is one step
    behind the largest number.
    """
    one, other = _magnitude(a), _magnitude(b)
    same_side = a.signbit() == b.signbit()
    # a difference on one side is exact in int64; across 0 it is a sum, which may need float64
    steps = torch.where(same_side, (one - other).abs().double(), one.double() + other.double())
    steps = torch.where(a.isnan() | b.isnan(), inf, steps)
    return torch.where(same(a, b), 0.0, steps)


def _magnitude(t: Tensor) -> Tensor:
    """The place of ``|t|`` among the numbers from 0 on: its bits without the sign."""
    return t.abs().contiguous().view(_INTEGERS[t.element_size()]).long()
