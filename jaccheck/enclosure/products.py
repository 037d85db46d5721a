"""What torch's settings permit a device to do to a product: read, wherever this release of torch keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from typing import Any

import torch

UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
TF32 = 2.0**-11  # 10 bits of significand behind the point, to nearest
TF32_TRUNCATED = 2.0**-10  # the other bits not looked at, as the hardware takes registers (Fasi et al. 2021, 3)
TENSOR_CORE = 4.0  # units in which tensor cores' sums may lose: they truncate, twice (Fasi et al. 2021, 3 and 4)

# Releases differ in which of them they have; in torch 2.9 and later, reading an old name raises once a new one was set.
_KNOBS = (
    "backends.cuda.matmul.allow_tf32",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_fp16_accumulation",
    "backends.cuda.matmul.fp32_precision",
    "backends.mkldnn.matmul.fp32_precision",
    "backends.fp32_precision",
)
_LOWER = ("tf32", "bf16")  # of fp32_precision


def knobs() -> tuple[Any, ...]:
    """All settings on which a product's rounding depends; another tuple where one of them is another."""
    return (
        _float32_matmul_precision(),
        *map(_knob, _KNOBS),
        torch._C._get_mkldnn_enabled(),
    )


def permitted(dtype: torch.dtype, device: torch.device) -> Iterator[tuple[float, float]]:
    """What a product in `dtype` on `device` may do, the strictest first: the units of its operands and of its sum.

    A unit is the unit roundoff to which each operand is rounded first (0: not at all), or that of the accumulator. What
    no setting permits isn't among them: or a library that is wrong would make its own enclosure wide.

    Sources: Fasi, Higham, Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores (2021).
    """
    u, single = UNIT_ROUNDOFF[dtype], UNIT_ROUNDOFF[torch.float32]
    cuda = device.type == "cuda"
    if dtype in (torch.float16, torch.bfloat16):
        if not cuda:
            yield 0.0, single
        yield 0.0, TENSOR_CORE * single
        if not cuda or _reduces_in(dtype):
            yield 0.0, u
        return
    yield 0.0, u
    if dtype == torch.float32 and _lowers_float32(cuda):
        for operand in (TF32, TF32_TRUNCATED, UNIT_ROUNDOFF[torch.bfloat16]):
            yield operand, TENSOR_CORE * single


def _reduces_in(dtype: torch.dtype) -> bool:
    """Whether partial sums on CUDA may be added in the dtype itself, or all of them."""
    short = "fp16" if dtype == torch.float16 else "bf16"
    allowed = _knob(f"backends.cuda.matmul.allow_{short}_reduced_precision_reduction")
    return bool(allowed) or bool(_knob(f"backends.cuda.matmul.allow_{short}_accumulation"))


def _lowers_float32(cuda: bool) -> bool:
    """Whether operands in float32 may be rounded to fewer bits before they are multiplied."""
    library = "cuda" if cuda else "mkldnn"
    precision = _knob(f"backends.{library}.matmul.fp32_precision")
    if precision in _LOWER or (precision in (None, "none") and _knob("backends.fp32_precision") in _LOWER):
        return True
    old = _float32_matmul_precision()
    return old in ("high", "medium") or (cuda and _knob("backends.cuda.matmul.allow_tf32") is True)


def _knob(name: str) -> Any:
    """The setting, or None where this torch has none of that name, or won't say since it goes by another name."""
    try:
        return _getter(name)(torch)
    except (AttributeError, RuntimeError):
        return None


_getter = cache(attrgetter)


def _float32_matmul_precision() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
