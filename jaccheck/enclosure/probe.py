"""Find out how a device rounds: the strictest claim that its matrix products bear out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
from torch import Tensor

from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import TINY, Ball

UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
TF32 = 2.0**-11  # 10 bits of significand behind the point, to nearest
TENSOR_CORE = 4.0  # units in which tensor cores' sums may lose: they truncate, twice (Fasi et al. 2021, 3 and 4)

# Bound when jaccheck is imported: whoever replaces one of these in torch later is judged by the original.
_PRODUCTS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    torch.nn.functional.linear,
    lambda a, w: torch.nn.functional.linear(a, w, torch.zeros_like(w[:, 0])),
    lambda a, w: torch.einsum("vno,io->vni", a[None], w)[0],
    lambda a, w: (w @ a.mT).mT,
    lambda a, w: torch.stack([torch.mv(w, row) for row in a]),
)
_SHAPES = ((1, 3, 1), (2, 17, 3), (5, 64, 33), (16, 256, 16), (3, 1024, 2))


def arithmetic(dtype: torch.dtype, device: torch.device) -> Arithmetic:
    """How correct implementations round in `dtype` on `device` under torch's present settings.

    Raises:
        KeyError: another dtype than the four of `UNIT_ROUNDOFF`.
    """
    settings = (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        torch._C._get_mkldnn_enabled(),
        _flushes(torch.tensor(torch.finfo(dtype).tiny, dtype=dtype, device=device)),
    )
    return _probed(dtype, device, settings).fresh()


@lru_cache
def _probed(dtype: torch.dtype, device: torch.device, settings: tuple[object, ...]) -> Arithmetic:
    for claim in _claims(dtype, device, flushes=bool(settings[-1])):
        if all(_bears_out(claim, dtype, device, product) for product in _PRODUCTS):
            return claim
    return claim


def _claims(dtype: torch.dtype, device: torch.device, *, flushes: bool) -> Iterator[Arithmetic]:
    """From the strictest to the laxest; the last one is taken unseen."""
    u = UNIT_ROUNDOFF[dtype]
    info = torch.finfo(dtype)
    half = dtype in (torch.float16, torch.bfloat16)
    single = UNIT_ROUNDOFF[torch.float32] * (TENSOR_CORE if device.type != "cpu" else 1.0)
    # Only where a setting permits it: else a library that is wrong would make its own enclosure wide.
    permitted = dtype == torch.float32 and (
        torch.get_float32_matmul_precision() != "highest"
        or (device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32)
    )
    operands = (0.0, TF32, UNIT_ROUNDOFF[torch.bfloat16]) if permitted else (0.0,)
    for v in (single, u) if half else (u,):
        for operand in operands:
            for flushed in (info.tiny,) if flushes else (0.0, info.tiny):
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


def _flushes(smallest: Tensor) -> bool:
    return bool(smallest * 0.5 == 0)


def _bears_out(
    claim: Arithmetic, dtype: torch.dtype, device: torch.device, product: Callable[[Tensor, Tensor], Tensor]
) -> bool:
    """Whether `product` of numbers chosen to break the claim stays within it."""
    for rows, n, columns in _SHAPES:
        for scale, (a, w) in _operands(rows, n, columns, claim):
            a, w = (a * scale).to(device, dtype), w.to(device, dtype)
            expected = claim.fresh().contraction(Ball.exact(a), w.double().mT)
            if expected.excludes(product(a, w)).any():
                return False
    return True


def _operands(rows: int, n: int, columns: int, claim: Arithmetic) -> Iterator[tuple[float, tuple[Tensor, Tensor]]]:
    """Ordinary numbers; a one and many that a narrow accumulator loses behind it; and subnormals."""
    generator = torch.Generator().manual_seed(n)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator) * 2 - 1

    yield 1.0, (uniform(rows, n), uniform(columns, n))
    one_first = torch.full((rows, n), 0.75 * claim.u, dtype=torch.float64)
    one_first[:, 0] = 1
    for a in (one_first, one_first.flip(1)):
        yield 1.0, (a, torch.ones(columns, n, dtype=torch.float64))
    smallest = max(claim.largest**-1, TINY)
    yield 0.25 * smallest, (uniform(rows, n), uniform(columns, n))
