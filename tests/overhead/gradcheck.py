"""The time of an enclosure beside that of `torch.autograd.gradcheck`, on the example in float64."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

import jaccheck
from tests.overhead.problems import PROBLEMS, fastest


def compared(rounds: int) -> dict[str, float]:
    """Ratios of the enclosure's time to those of gradcheck, full and fast, of f(x) by all parameters."""
    model, x = PROBLEMS["example"]()
    runs = [jaccheck.enclosure, _gradcheck(fast_mode=False), _gradcheck(fast_mode=True)]
    enclosure, full, fast = fastest(runs, (model.double(), x.double()), rounds)
    return {
        "enclosure, ms": 1e3 * enclosure,
        "enclosure / gradcheck": enclosure / full,
        "enclosure / gradcheck(fast_mode=True)": enclosure / fast,
    }


def _gradcheck(fast_mode: bool):  # type: ignore[no-untyped-def]
    def run(model: nn.Module, x: Tensor) -> None:
        parameters = dict(model.named_parameters())

        def f(*values: Tensor) -> Tensor:
            return functional_call(model, dict(zip(parameters, values, strict=True)), (x,))

        assert torch.autograd.gradcheck(f, tuple(parameters.values()), fast_mode=fast_mode)

    return run
