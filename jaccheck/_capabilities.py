"""What this torch can do, which another may not: each capability by its name, tried and never read off a version."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

ABSENT = "not implemented for '"
"""What torch says of an operation that it has no kernel for in a dtype (before 2.9 as a RuntimeError)."""


@cache
def differentiates(function: Callable[[Tensor], Tensor], dtype: torch.dtype, device: str) -> bool:
    """Whether `function` of a tensor ``[1, 1]`` has kernels in `dtype` on `device`, forward and backward."""
    try:
        with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is slow, say
            x = torch.ones(1, 1, dtype=dtype, device=device, requires_grad=True)
            torch.autograd.grad(function(x).sum(), x)
    except RuntimeError as error:  # NotImplementedError is one
        if ABSENT not in str(error):
            raise
        return False
    return True


def squared_error(x: Tensor) -> Tensor:
    """The loss through which `sqrt_ggn_exact` goes: on a CPU, torch 2.2 to 2.5 lack it in 16 bits."""
    return nn.functional.mse_loss(x, torch.zeros_like(x), reduction="sum")


def autocasts(device: str) -> bool:
    """Whether autocast is on for a kind of device, which torch can be asked about by its name since 2.4."""
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:
        return torch.is_autocast_cpu_enabled() if device == "cpu" else torch.is_autocast_enabled()


def set_autocast(device: str, enabled: bool) -> None:
    """Turn autocast on or off for a kind of device."""
    try:
        torch.set_autocast_enabled(device, enabled)
    except TypeError:
        (torch.set_autocast_cpu_enabled if device == "cpu" else torch.set_autocast_enabled)(enabled)


@cache
def clamps_openly(method: str = "clamp") -> bool:
    """Whether the derivative of a clamp at its bounds is 0, as it is since torch 2.14, and not 1."""
    with torch.inference_mode(False), torch.enable_grad():
        t = torch.zeros((), device="cpu", requires_grad=True)
        (slope,) = torch.autograd.grad(getattr(t, method)(0.0), t)
    return not slope


@cache
def hardswish_is_closed() -> bool:
    """Whether Hardswish's derivative at -3 and 3 is that from between them, as in torch 2.2, and not 0 and 1."""
    with torch.inference_mode(False), torch.enable_grad():
        t = torch.full((1,), -3.0, device="cpu", dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(nn.functional.hardswish(t.clone()).sum(), t)
    return bool(slope)


TELLS_OF_HOOKS_ON_SAVED_TENSORS = hasattr(torch._C._autograd, "_top_saved_tensors_default_hooks")
"""Whether torch says which hooks it applies to saved tensors: 2.2 and 2.6 take them and don't."""
