"""A path takes little more memory than the Jacobian that it returns."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from jaccheck.paths import get


def peak_bytes(name: str, model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """The most that was allocated at one time during a call, and the size of what it returned."""
    get(name).jacobian(model, x)  # loads what is loaded once
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        J = get(name).jacobian(model, x)
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak, sum(j.numel() * j.element_size() for j in J.values())


@pytest.mark.parametrize("name", ["autograd", "batch_grad", "sqrt_ggn_exact", "autograd_batched", "vmap_jacrev"])
def test_the_peak_is_near_the_size_of_the_jacobian(name: str) -> None:
    model, x = nn.Sequential(nn.Linear(100, 60), nn.Tanh(), nn.Linear(60, 10)), torch.randn(8, 100)
    peak, size = peak_bytes(name, model, x)
    assert size == 8 * 10 * 6670 * 4
    assert size <= peak <= 1.25 * size


def test_forward_mode_takes_no_more_than_its_pieces() -> None:
    model, x = nn.Sequential(nn.Linear(100, 60), nn.Tanh(), nn.Linear(60, 10)), torch.randn(8, 100)
    peak, size = peak_bytes("vmap_jacfwd", model, x)
    assert peak <= size + 4 * 4 * 2**22  # a few numbers for each of the piece's; P² of them were 178 MB
