"""Which elements of two tensors have the same value."""

from __future__ import annotations

from torch import Tensor


def same(a: Tensor, b: Tensor) -> Tensor:
    """Where they are equal, or both NaN; the sign of a zero is not a value."""
    return (a == b) | (a.isnan() & b.isnan())
