"""Rounded more than the dtype rounds, or not finite where it should be."""

from __future__ import annotations

from copy import deepcopy
from math import inf

import torch
from torch import Tensor, nn

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.wrong_paths import At, Jacobian, altered, computed, right


def _by_way_of(dtype: torch.dtype, *from_dtypes: torch.dtype) -> Fault:
    short, of = str(dtype).removeprefix("torch."), [str(one).removeprefix("torch.") for one in from_dtypes]
    name = f"{'_and_'.join(of)}_by_way_of_{short}"
    words = f"{' and '.join(of)} results go through {short}"
    return altered(name, words, lambda j, at: j.to(dtype).to(j.dtype), lambda at: at.dtype in from_dtypes)


def _ulps(j: Tensor, count: int) -> Tensor:
    for _ in range(count):
        j = torch.where(j == 0, j, j.nextafter(torch.full_like(j, inf)))
    return j


def _throughout(dtype: torch.dtype) -> Fault:
    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(deepcopy(model).to(dtype), x.detach().to(dtype))
        return {name: j.to(x.dtype) for name, j in J.items()}

    short = str(dtype).removeprefix("torch.")
    return computed(f"{short}_throughout", f"all is computed in {short}, whatever the dtype", compute)


def _truncated(j: Tensor, bits: int) -> Tensor:
    """Without the last bits of the significand."""
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[j.element_size()]
    return (j.contiguous().view(integer) >> bits << bits).view(j.dtype)


def _without_subnormals(t: Tensor) -> Tensor:
    return torch.where(t.abs() < torch.finfo(t.dtype).tiny, torch.zeros_like(t), t)


def _flushing(model: nn.Module, x: Tensor) -> Jacobian:
    model = deepcopy(model)
    for p in model.parameters():
        p.data = _without_subnormals(p.detach())
    return right(model, _without_subnormals(x.detach()))


def _largest(at: At) -> float:
    return float(torch.finfo(at.dtype).max)


F64, F32, F16, BF16 = torch.float64, torch.float32, torch.float16, torch.bfloat16

FAULTS = [
    _by_way_of(BF16, F64, F32, F16),
    _by_way_of(F16, F64, F32, BF16),
    _by_way_of(F16, F32),
    _by_way_of(F32, F64),
    _by_way_of(BF16, F16),
    _by_way_of(F16, BF16),
    _throughout(F32),
    _throughout(F16),
    altered("flush_to_zero", "subnormal results are 0", lambda j, at: _without_subnormals(j)),
    altered(
        "flush_to_zero_in_float64",
        "subnormal results are 0 in float64",
        lambda j, at: _without_subnormals(j),
        lambda at: at.dtype == F64,
    ),
    computed("subnormal_operands_are_zero", "subnormal parameters and inputs count as 0", _flushing),
    altered("one_ulp", "each entry is one unit in the last place too large", lambda j, at: _ulps(j, 1)),
    altered("three_ulps", "each entry is three units in the last place too large", lambda j, at: _ulps(j, 3)),
    altered(
        "three_ulps_in_the_first_weight",
        "the first weight is three units in the last place too large",
        lambda j, at: _ulps(j, 3),
        lambda at: at.place == 0,
    ),
    altered(
        "one_ulp_in_one_entry",
        "one entry is a unit in the last place too large",
        lambda j, at: torch.cat((j[:, :, :-1], _ulps(j[:, :, -1:], 1)), 2),
        lambda at: at.last,
    ),
    altered(
        "one_ulp_in_float32",
        "float32 is one unit in the last place too large",
        lambda j, at: _ulps(j, 1),
        lambda at: at.dtype == F32,
    ),
    altered(
        "one_ulp_in_float64",
        "float64 is one unit in the last place too large",
        lambda j, at: _ulps(j, 1),
        lambda at: at.dtype == F64,
    ),
    altered("last_bit_lost", "the last bit of the significand is 0", lambda j, at: _truncated(j, 1)),
    altered(
        "thirteen_bits_lost_in_float32",
        "float32 keeps ten bits of the significand",
        lambda j, at: _truncated(j, 13),
        lambda at: at.dtype == F32,
    ),
    altered("eight_units_off", "all is 8 eps too large", lambda j, at: j * (1 + 8 * torch.finfo(j.dtype).eps)),
    altered("sixty_four_units_off", "all is 64 eps too large", lambda j, at: j * (1 + 64 * torch.finfo(j.dtype).eps)),
    altered("nan_to_zero", "NaN is replaced by 0", lambda j, at: j.nan_to_num(nan=0.0, posinf=inf, neginf=-inf)),
    altered(
        "infinity_to_the_largest",
        "infinity is replaced by the largest number",
        lambda j, at: j.nan_to_num(nan=torch.nan),
    ),
    altered(
        "nan_for_large_entries",
        "beyond a tenth of the largest number all is NaN",
        lambda j, at: j.masked_fill(j.abs() > _largest(at) / 10, torch.nan),
    ),
    altered(
        "infinite_beyond_float16",
        "what float16 can't hold is infinite",
        lambda j, at: torch.where(j.abs() > 65504, j * inf, j),
    ),
    altered(
        "nan_for_zeros_of_dead_units", "0 becomes NaN, as of 0/0", lambda j, at: j / j * j, lambda at: at.place == 0
    ),
]
