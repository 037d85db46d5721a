"""The probe of a device's rounding, on devices that round otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jaccheck.enclosure import probe
from jaccheck.enclosure.probe import TF32, UNIT_ROUNDOFF

CPU = torch.device("cpu")


def probed(monkeypatch: pytest.MonkeyPatch, product: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype):
    """What the probe makes of a device whose only matrix product is `product`."""
    monkeypatch.setattr(probe, "_PRODUCTS", (product,))
    return probe._probed.__wrapped__(dtype, CPU, (False,))


def exactly(a: Tensor, w: Tensor) -> Tensor:
    return (a.double() @ w.double().mT).to(a.dtype)


def as_tf32(t: Tensor) -> Tensor:
    """To 10 bits behind the point: Veltkamp's splitting, with 2^13 + 1 in float32."""
    big = t * (2.0**13 + 1)
    return big - (big - t)


def by_tf32(a: Tensor, w: Tensor) -> Tensor:
    return exactly(as_tf32(a), as_tf32(w))


def by_bfloat16(a: Tensor, w: Tensor) -> Tensor:
    return exactly(a.bfloat16().float(), w.bfloat16().float())


def one_after_the_other(a: Tensor, w: Tensor) -> Tensor:
    """A sum in the dtype itself, as with reduced-precision reductions."""
    total = torch.zeros_like(exactly(a, w))
    for i in range(a.shape[1]):
        total += (a[:, i, None].double() * w[:, i].double()).to(a.dtype)
    return total


def without_subnormals(a: Tensor, w: Tensor) -> Tensor:
    tiny = torch.finfo(a.dtype).tiny

    def flushed(t: Tensor) -> Tensor:
        return torch.where(t.abs() < tiny, 0, t)

    return flushed(exactly(flushed(a), flushed(w)))


@pytest.mark.parametrize("dtype", list(UNIT_ROUNDOFF))
def test_one_rounding_is_the_strictest_claim(monkeypatch, dtype):
    found = probed(monkeypatch, exactly, dtype)
    assert (found.operand, found.flushed) == (0, 0)
    assert found.v <= UNIT_ROUNDOFF[torch.float32]


@pytest.mark.parametrize(("product", "operand"), [(by_tf32, TF32), (by_bfloat16, UNIT_ROUNDOFF[torch.bfloat16])])
def test_operands_that_are_rounded_first_show_where_a_setting_permits_it(monkeypatch, product, operand):
    assert probed(monkeypatch, product, torch.float32).operand == 0  # then the product is wrong
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert probed(monkeypatch, product, torch.float32).operand == operand


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_narrow_accumulator_shows(monkeypatch, dtype):
    assert probed(monkeypatch, one_after_the_other, dtype).v == UNIT_ROUNDOFF[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_subnormals_that_are_flushed_show(monkeypatch, dtype):
    found = probed(monkeypatch, without_subnormals, dtype)
    assert found.flushed == found.eta == torch.finfo(dtype).tiny


def test_the_setting_of_flushing_subnormals_is_seen_each_time():
    before = probe.arithmetic(torch.float32, CPU).flushed
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor can't flush subnormals")
    try:
        assert probe.arithmetic(torch.float32, CPU).flushed > 0
    finally:
        torch.set_flush_denormal(False)
    assert probe.arithmetic(torch.float32, CPU).flushed == before


def test_another_matmul_precision_is_probed_anew(monkeypatch):
    seen = []
    monkeypatch.setattr(probe, "_probed", lambda dtype, device, settings: seen.append(settings) or fresh)
    fresh = probe._claims(torch.float32, CPU, flushes=False).__next__()
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            probe.arithmetic(torch.float32, CPU)
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen[0] != seen[1]
