"""Find out how a device rounds: the strictest claim that its matrix products bear out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from torch import Tensor

from jaccheck._capabilities import ABSENT
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import TINY, Ball
from jaccheck.enclosure.products import UNIT_ROUNDOFF, knobs, permitted

Product = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``a Wᵀ + b``, ``[N, O]``, of a ``[N, I]``, W ``[O, I]`` and b ``[O]``."""

# Bound when jaccheck is imported: whoever replaces one of these in torch later is judged by the original.
_PRODUCTS: tuple[Product, ...] = (
    torch.nn.functional.linear,
    lambda a, w, b: torch.nn.functional.linear(a, w) + b,
    lambda a, w, b: torch.einsum("vno,io->vni", a[None], w)[0] + b,
    lambda a, w, b: (w @ a.mT).mT + b,
    lambda a, w, b: torch.stack([torch.mv(w, row) for row in a]) + b,
)
# Rows, terms and columns. Libraries choose among kernels by size: oneDNN takes over at 16^3, cuBLAS splits long sums.
_SHAPES = ((1, 3, 1), (2, 17, 3), (5, 64, 33), (16, 256, 16), (3, 1024, 2), (64, 2, 64), (1, 1, 8192))
_LONG = 2**18  # terms: so many lose more by truncation than the last roundings in bfloat16 hide


def arithmetic(dtype: torch.dtype, device: torch.device) -> Arithmetic:
    """How correct implementations round in `dtype` on `device` under torch's present settings.

    Raises:
        KeyError: another dtype than the four of `UNIT_ROUNDOFF`.
    """
    flushes = _flushes(_smallest_normal(dtype, device))
    return _probed(dtype, device, flushes, knobs())


@lru_cache
def _probed(dtype: torch.dtype, device: torch.device, flushes: bool, settings: tuple[object, ...]) -> Arithmetic:
    """`settings` are those that `permitted` goes by."""
    return probed(dtype, device, permitted(dtype, device), flushes=flushes)


def probed(
    dtype: torch.dtype, device: torch.device, units: Iterator[tuple[float, float]], *, flushes: bool
) -> Arithmetic:
    """The strictest claim that the device's products bear out, of these `units`; the laxest is taken unseen."""
    for claim in _claims(dtype, units, flushes=flushes):
        if _borne_out(claim, dtype, device):
            return claim
    return claim


def _claims(dtype: torch.dtype, units: Iterator[tuple[float, float]], *, flushes: bool) -> Iterator[Arithmetic]:
    """From the strictest to the laxest."""
    u = UNIT_ROUNDOFF[dtype]
    info = torch.finfo(dtype)
    half = dtype in (torch.float16, torch.bfloat16)
    sums = list(units)
    for flushed in (info.tiny,) if flushes else (0.0, info.tiny):  # which hides what else a long sum loses
        for operand, v in sums:
            yield Arithmetic(
                u=u,
                v=v,
                largest=info.max,
                # half the smallest subnormal, which float64 can't hold for itself
                eta=flushed or max(info.tiny * u, TINY),
                opmath_largest=torch.finfo(torch.float32).max if half else info.max,
                operand=operand,
                flushed=flushed,
            )


@lru_cache
def _smallest_normal(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(torch.finfo(dtype).tiny, dtype=dtype, device=device)


def _flushes(smallest: Tensor) -> bool:
    return (smallest * 0.5).item() == 0


def _borne_out(claim: Arithmetic, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products of numbers chosen to break the claim stay within it; what the device can't do, it doesn't."""
    products = list(_PRODUCTS)
    for operands in _operands(claim):
        a, w, b = (t.to(device, dtype) for t in operands)
        expected = claim.contraction(Ball.exact(a), w.double().mT, b.double())
        for product in tuple(products):
            try:
                got = product(a, w, b)
            except RuntimeError as error:
                if ABSENT not in str(error):
                    raise
                products.remove(product)
                continue
            if not expected.holds(got):
                return False
    return True


def _operands(claim: Arithmetic) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Ordinary numbers; a one, and many behind it that a narrow or truncating sum loses; and subnormals."""
    smallest = max(claim.largest**-1, TINY)
    for rows, n, columns in _SHAPES:
        generator = torch.Generator("cpu").manual_seed(n)

        def uniform(*shape: int, generator: torch.Generator = generator) -> Tensor:
            return torch.rand(*shape, dtype=torch.float64, device="cpu", generator=generator) * 2 - 1

        zero = torch.zeros(columns, dtype=torch.float64, device="cpu")
        yield uniform(rows, n), uniform(columns, n), zero
        one_first = torch.full((rows, n), 0.75 * claim.u, dtype=torch.float64, device="cpu")
        one_first[:, 0] = 1
        for a in (one_first, one_first.flip(1)):
            yield a, torch.ones(columns, n, dtype=torch.float64, device="cpu"), zero
        yield 0.25 * smallest * uniform(rows, n), uniform(columns, n), zero
        yield torch.zeros(rows, n, dtype=torch.float64, device="cpu"), uniform(columns, n), smallest * uniform(columns)
    if claim.u > UNIT_ROUNDOFF[torch.float32] and claim.v * _LONG < 1:
        # the accumulator's last place, all but a little, again and again: to nearest it is counted, truncated lost
        a = torch.full((1, _LONG), (1 - 2 * claim.u) * 2.0**-11, dtype=torch.float64, device="cpu")
        w = torch.full((1, _LONG), 2.0**-12, dtype=torch.float64, device="cpu")
        a[:, 0] = w[:, 0] = 1
        yield a, w, torch.zeros(1, dtype=torch.float64, device="cpu")
