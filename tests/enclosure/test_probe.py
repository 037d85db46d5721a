"""The probe of a device's rounding, on devices that round otherwise."""

from __future__ import annotations

import pytest
import torch

import jaccheck
from jaccheck.enclosure import probe, products
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.products import TENSOR_CORE, TF32, TF32_TRUNCATED, UNIT_ROUNDOFF, permitted
from tests.enclosure import simulated

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
DOUBLE, SINGLE, HALF, BFLOAT = torch.float64, torch.float32, torch.float16, torch.bfloat16
U = UNIT_ROUNDOFF
TRUNCATING = TENSOR_CORE * U[SINGLE]


@pytest.fixture
def matmul():
    """torch's settings for products on CUDA, which are there without it, put back afterwards."""
    before = {
        name: getattr(torch.backends.cuda.matmul, name)
        for name in ("allow_tf32", *(f"allow_{short}_reduced_precision_reduction" for short in ("fp16", "bf16")))
    }
    yield torch.backends.cuda.matmul
    for name, value in before.items():
        setattr(torch.backends.cuda.matmul, name, value)


def probed(monkeypatch, product, dtype, device=CPU, *, flushes=False) -> Arithmetic:
    """What the probe makes of a device like `device` whose only matrix product is `product`, computed here."""
    monkeypatch.setattr(probe, "_PRODUCTS", (product,))
    return probe.probed(dtype, CPU, permitted(dtype, device), flushes=flushes)


@pytest.mark.parametrize("dtype", list(U))
def test_one_rounding_is_the_strictest_claim(monkeypatch, dtype):
    found = probed(monkeypatch, simulated.exactly, dtype)
    assert (found.operand, found.flushed) == (0, 0)
    assert found.v == min(U[dtype], U[SINGLE])


TF32_DEVICES = [
    (simulated.by_tf32, TF32),
    (simulated.by_truncated_tf32, TF32_TRUNCATED),
    (simulated.by_bfloat16, U[BFLOAT]),
]


@pytest.mark.parametrize(("product", "operand"), TF32_DEVICES)
@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_operands_that_are_rounded_first_show_where_a_setting_permits_it(monkeypatch, matmul, product, operand, device):
    matmul.allow_tf32 = False
    assert probed(monkeypatch, product, SINGLE, device).operand == 0  # then the product is wrong
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
        assert probed(monkeypatch, product, SINGLE, device).operand == operand
    matmul.allow_tf32 = True
    assert probed(monkeypatch, product, SINGLE, CUDA).operand == operand


@pytest.mark.parametrize("dtype", [HALF, BFLOAT])
@pytest.mark.parametrize("product", [simulated.one_after_the_other, simulated.split])
def test_a_sum_in_the_dtype_itself_shows_where_a_setting_permits_it(monkeypatch, matmul, product, dtype):
    assert probed(monkeypatch, product, dtype, CPU).v == U[dtype]
    assert probed(monkeypatch, product, dtype, CUDA).v == U[dtype]  # as torch has it by default
    short = "fp16" if dtype == HALF else "bf16"
    setattr(matmul, f"allow_{short}_reduced_precision_reduction", False)
    assert probed(monkeypatch, product, dtype, CUDA).v == TRUNCATING  # then it is wrong


@pytest.mark.parametrize("dtype", [HALF, BFLOAT])
def test_sums_that_are_truncated_show(monkeypatch, dtype):
    assert probed(monkeypatch, simulated.tensor_core, dtype, CPU).v == TRUNCATING
    assert probed(monkeypatch, simulated.tensor_core, dtype, CUDA).v == TRUNCATING


@pytest.mark.parametrize("dtype", [HALF, BFLOAT])
def test_a_tensor_core_is_taken_to_truncate_whatever_it_shows(monkeypatch, dtype):
    assert probed(monkeypatch, simulated.exactly, dtype, CUDA).v == TRUNCATING


@pytest.mark.parametrize("dtype", [SINGLE, HALF, BFLOAT])
def test_subnormals_that_are_flushed_show(monkeypatch, dtype):
    found = probed(monkeypatch, simulated.without_subnormals, dtype)
    assert found.flushed == found.eta == torch.finfo(dtype).tiny


def test_a_bias_that_is_flushed_shows_though_a_product_is_not(monkeypatch):
    """As oneDNN's bfloat16 products do it, in torch 2.2 for large ones alone."""

    def product(a, w, b):
        return simulated.exactly(a, w, b if a.shape[0] * w.numel() < 16**3 else torch.where(b.abs() < tiny, 0, b))

    tiny = torch.finfo(BFLOAT).tiny
    assert probed(monkeypatch, product, BFLOAT).flushed == tiny


def test_what_a_device_cannot_do_is_no_evidence(monkeypatch):
    def product(a, w, b):
        raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")

    monkeypatch.setattr(probe, "_PRODUCTS", (product, simulated.one_after_the_other))
    assert probe.probed(HALF, CPU, permitted(HALF, CPU), flushes=False).v == U[HALF]


DEVICES = [
    (simulated.exactly, SINGLE),
    (simulated.by_tf32, SINGLE),
    (simulated.by_truncated_tf32, SINGLE),
    (simulated.by_bfloat16, SINGLE),
    *(
        (product, dtype)
        for dtype in (HALF, BFLOAT)
        for product in (
            simulated.exactly,
            simulated.one_after_the_other,
            simulated.split,
            simulated.tensor_core,
            simulated.without_subnormals,
        )
    ),
]


@pytest.mark.parametrize(("product", "dtype"), DEVICES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_is_found_holds_for_other_numbers(monkeypatch, matmul, product, dtype):
    """Sums and products of one term, large, small and of either sign, of which the probe has seen none."""
    matmul.allow_tf32 = True
    fl = probed(monkeypatch, product, dtype, CUDA)
    generator = torch.Generator().manual_seed(20)
    small = torch.finfo(dtype).tiny
    for rows, n, columns, scale in (
        (4, 33, 5, 1.0),
        (2, 300, 3, 0.01),
        (3, 1, 4, 1.0),
        (3, 1, 4, small),
        (2, 9, 2, small),
    ):
        a = (torch.randn(rows, n, generator=generator, dtype=DOUBLE) * scale).to(dtype)
        w, b = (
            torch.randn(*shape, generator=generator, dtype=DOUBLE).to(dtype) for shape in ((columns, n), (columns,))
        )
        ball = fl.contraction(Ball.exact(a), w.double().mT, b.double())
        assert not ball.excludes(product(a, w, b)).any()
        if n == 1:
            outer = fl.outer(Ball.exact(a), Ball.exact(w.mT))
            assert not outer.excludes(product(a, w, 0 * b)).any()


def test_a_jacobian_of_products_with_one_term_has_their_operands_rounded(monkeypatch):
    """``∂f/∂W = D ⊗ a`` is a matrix product, too, and here D is 1 and a exact."""
    fl = probed(monkeypatch, simulated.exactly, SINGLE)
    lower = Arithmetic(**{**vars(fl), "operand": TF32})
    s, t = Ball.exact(torch.ones(1)), Ball.exact(torch.tensor([1 + 2.0**-12], dtype=SINGLE))
    assert fl.outer(s, t).excludes(torch.ones(1)).all()
    assert not lower.outer(s, t).excludes(torch.ones(1)).any()
    assert lower.product(s, t).excludes(torch.ones(1)).all()  # element by element nothing is rounded first


@pytest.mark.parametrize("precision", ["medium", "high", "highest"])
def test_no_path_is_accused_at_any_matmul_precision(precision):
    before = torch.get_float32_matmul_precision()
    model = torch.nn.Linear(32, 16)
    x = torch.linspace(-1, 1, 16 * 32).view(16, 32)
    try:
        torch.set_float32_matmul_precision(precision)
        report = jaccheck.check(model, x, images=False)
    finally:
        torch.set_float32_matmul_precision(before)
    assert report.ok, report


def test_the_setting_of_flushing_subnormals_is_seen_each_time():
    before = probe.arithmetic(SINGLE, CPU).flushed
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor can't flush subnormals")
    try:
        assert probe.arithmetic(SINGLE, CPU).flushed > 0
    finally:
        torch.set_flush_denormal(False)
    assert probe.arithmetic(SINGLE, CPU).flushed == before


def test_another_matmul_precision_is_probed_anew(monkeypatch):
    seen = []
    monkeypatch.setattr(probe, "_probed", lambda dtype, device, flushes, settings: seen.append(settings) or fresh)
    fresh = next(probe._claims(SINGLE, permitted(SINGLE, CPU), flushes=False))
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            probe.arithmetic(SINGLE, CPU)
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen[0] != seen[1]


def test_a_setting_under_its_new_name_permits_the_same():
    """In a torch that has it, where reading the old names then raises."""
    if products._knob("backends.cuda.matmul.fp32_precision") is None:
        pytest.skip("this torch has the old names alone")
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    assert [operand for operand, _ in permitted(SINGLE, CUDA)] == [0]
    try:
        matmul.fp32_precision = "tf32"
        assert TF32 in {operand for operand, _ in permitted(SINGLE, CUDA)}
        assert jaccheck.check(torch.nn.Linear(2, 2), torch.ones(1, 2)).ok
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


def test_a_default_device_is_no_matter():
    """A probe's numbers are made on the CPU, and go to where the model is."""
    probe._probed.cache_clear()
    with torch.device("meta"):
        assert probe.arithmetic(SINGLE, CPU).v == U[SINGLE]


def test_the_knobs_name_settings_that_this_torch_or_another_has():
    known = [name for name in products._KNOBS if products._knob(name) is not None]
    assert "backends.cuda.matmul.allow_tf32" in known
    assert len(known) >= 3
