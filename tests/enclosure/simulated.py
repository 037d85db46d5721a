"""Devices that round otherwise, in plain torch on the CPU: each by the product ``a Wᵀ + b`` that it would give."""

from __future__ import annotations

import torch
from torch import Tensor

SPLITS = 4  # parts of a long sum, which are then added
BLOCK = 64  # products that a tensor core adds at once; real ones have 4 to 16, and lose as much for each


def exactly(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Rounded once, in float64, which holds the products of the other dtypes exactly."""
    return (a.double() @ w.double().mT + b.double()).to(a.dtype)


def to_nearest(t: Tensor, bits: int) -> Tensor:
    """To `bits` of significand, ties to even."""
    fraction, exponent = torch.frexp(t.double())
    return _scaled((fraction * 2.0**bits).round(), exponent - bits).to(t.dtype)


def truncated(t: Tensor, bits: int) -> Tensor:
    """To `bits` of significand, toward zero."""
    fraction, exponent = torch.frexp(t.double())
    return _scaled((fraction * 2.0**bits).trunc(), exponent - bits).to(t.dtype)


def _scaled(t: Tensor, exponent: Tensor) -> Tensor:
    """``t 2^exponent`` in float64; torch.ldexp of old has the power in float32."""
    return t * 2.0 ** exponent.double()


def by_tf32(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return tensor_core(to_nearest(a, 11), to_nearest(w, 11), b)


def by_truncated_tf32(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return tensor_core(truncated(a, 11), truncated(w, 11), b)


def by_bfloat16(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return exactly(a.bfloat16().to(a.dtype), w.bfloat16().to(a.dtype), b)


def one_after_the_other(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """A sum in the dtype itself."""
    total = torch.zeros_like(exactly(a, w, b))
    for i in range(a.shape[1]):
        total += (a[:, i, None].double() * w[:, i].double()).to(a.dtype)
    return total + b


def split(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Each part of the sum in float32 or better, and the parts added in the dtype: a reduced-precision reduction."""
    size = -(-a.shape[1] // SPLITS)
    parts = [exactly(p, q, 0 * b) for p, q in zip(a.split(size, 1), w.split(size, 1), strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total + b


def tensor_core(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Blocks of exact products and the sum so far, cut off at the last place of the largest, added, cut off again.

    Source: Fasi, Higham, Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores (2021), 3 and 4.
    """
    total = torch.zeros(a.shape[0], w.shape[0], 1, dtype=torch.float64)
    for p, q in zip(a.double().split(BLOCK, 1), w.double().split(BLOCK, 1), strict=True):
        terms = torch.cat([total, p[:, None] * q[None]], 2)
        last = torch.frexp(terms.abs().amax(2, keepdim=True))[1] - 24
        kept = _scaled(_scaled(terms, -last).trunc(), last)
        total = truncated(kept.sum(2, keepdim=True), 24)
    return (total[..., 0].float().double() + b.double()).to(a.dtype)


def without_subnormals(a: Tensor, w: Tensor, b: Tensor) -> Tensor:
    tiny = torch.finfo(a.dtype).tiny

    def flushed(t: Tensor) -> Tensor:
        return torch.where(t.abs() < tiny, 0, t)

    return flushed(exactly(flushed(a), flushed(w), flushed(b)))
