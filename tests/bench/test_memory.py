"""What a call needs of memory, and what is done where there isn't as much."""

from __future__ import annotations

import gc
import sys
import tracemalloc

import pytest
import torch
from torch import Tensor

from jaccheck.bench import measure as _measure
from jaccheck.bench import memory as _memory
from jaccheck.bench.memory import bounded, peak, ran_out

CPU = torch.device("cpu")
BRIEFLY = 1e-9  # seconds: the fewest rounds


def held(size: int) -> Tensor:
    return torch.empty(size, dtype=torch.uint8)


@pytest.mark.parametrize("size", [1, 10**6])
def test_peak_is_a_high_water_mark(size):
    def call() -> Tensor:
        first = held(7 * size)
        second = held(3 * size)
        del first
        return torch.cat((second, second[:size]))  # 3 + 4, beside 10 before

    peak(call, CPU)
    assert peak(call, CPU).torch == 10 * size


def test_peak_counts_what_is_allocated_in_a_backward_pass():
    x = torch.ones(1000, requires_grad=True)

    def call() -> tuple[Tensor, ...]:
        y = x.exp()  # 4000
        return torch.autograd.grad(y, x, torch.ones_like(x))  # 4000 and 4000

    assert peak(call, CPU).torch == 12_000


def test_peak_does_not_count_what_was_there_before_or_is_released():
    there = [held(10**6)]
    assert peak(there.clear, CPU).torch == 0
    assert peak(lambda: None, CPU).torch == 0


def test_peak_of_python():
    def call() -> bytes:
        bytes(3 * 10**6)
        return bytes(10**6)

    found = peak(call, CPU)
    assert found.torch == 0
    assert 3 * 10**6 <= found.python < 3 * 10**6 + 10**5
    tracemalloc.start()
    try:
        again = peak(call, CPU)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert 3 * 10**6 <= again.python < 3 * 10**6 + 10**5


def test_what_a_first_call_loads_for_good_is_not_what_a_call_needs():
    loaded: list[bytes] = []

    def call() -> None:
        if not loaded:
            loaded.append(bytes(10**7))

    seen = _measure.measured({"a": call}, size=1, device=CPU, restore=lambda: None, seconds=BRIEFLY, least=1)
    assert seen.peaks["a"].python < 10**6
    assert len(seen.seconds["a"]) == 1


def test_peak_says_nothing_on_stderr(capfd):
    peak(lambda: held(1), CPU)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux grants what it doesn't have")
def test_more_memory_than_there_is_is_refused_rather_than_granted(monkeypatch):
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    gc.collect()
    monkeypatch.setattr(_memory, "_available", lambda: 10**8)
    held(3 * 10**8)  # nobody writes to it
    with bounded(CPU):
        held(10**7)
        with pytest.raises(RuntimeError, match="can't allocate memory") as refused:
            held(3 * 10**8)
        with pytest.raises(MemoryError):
            bytes(3 * 10**8)
    assert ran_out(f"RuntimeError: {refused.value}")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("MemoryError: ", True),
        ("_ArrayMemoryError: Unable to allocate 1 EiB", True),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", True),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you", True),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: not enough memory: you", True),
        ("RuntimeError: shapes differ", False),
        ("ValueError: MemoryError is a class", False),
    ],
)
def test_ran_out(said, expected):
    assert ran_out(said) is expected
