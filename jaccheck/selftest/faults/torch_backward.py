"""torch's own backward pass is wrong: a kernel, overridden, or a function with another derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.patches import FIRST_ORDER, overridden, replaced

Spoil = Callable[..., Tensor]
"""From the right gradient, the incoming one and the kernel's other arguments to a wrong one."""


def _kernel(name: str, words: str, op: str, spoil: Spoil, equivalent: str | None = None) -> Fault:
    """The backward kernel `op` gives what `spoil` makes of the right gradient, which the variant with ``out`` gives."""

    def kernel(gradient: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        right = torch.empty_like(gradient)
        getattr(torch.ops.aten, op).grad_input(gradient, *args, **kwargs, grad_input=right)
        return spoil(right, gradient, *args)

    return replace(overridden(name, words, FIRST_ORDER, **{op: kernel}), equivalent=equivalent)


def _elu(name: str, words: str, spoil: Callable[[Tensor, Tensor, bool], Tensor]) -> Fault:
    """Of ELU's kernel, which SELU and CELU share."""

    def kernel(gradient: Tensor, alpha: float, scale: float, input_scale: float, is_result: bool, z: Tensor) -> Tensor:
        right = torch.empty_like(gradient)
        torch.ops.aten.elu_backward.grad_input(gradient, alpha, scale, input_scale, is_result, z, grad_input=right)
        return spoil(right, z, is_result)

    return overridden(name, words, FIRST_ORDER, elu_backward=kernel)


class _Linear(torch.autograd.Function):
    """``x Wᵀ + b`` whose gradients are changed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, change: Callable[..., Any], right: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.change, ctx.biased = change, bias is not None
        return right(x, weight, bias)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        found = [gradient @ weight, gradient.flatten(0, -2).mT @ x.flatten(0, -2), gradient.flatten(0, -2).sum(0)]
        back, of_weight, of_bias = ctx.change(*found, x)
        return back, of_weight, of_bias if ctx.biased else None, None, None


def _linear(
    name: str, words: str, accused: tuple[str, ...], change: Callable[..., tuple[Tensor, Tensor, Tensor]]
) -> Fault:
    def wrap(right: Any) -> Any:
        return lambda x, weight, bias=None: _Linear.apply(x, weight, bias, change, right)  # type: ignore[no-untyped-call]

    return replaced(name, words, accused, (F, "linear", wrap))


AUTOGRAD = ("autograd",)

FAULTS = [
    _kernel("kernel_tanh_halved", "tanh's kernel gives half", "tanh_backward", lambda r, g, y: r / 2),
    _kernel(
        "kernel_tanh_in_float32",
        "tanh's kernel computes float64 in float32",
        "tanh_backward",
        lambda r, g, y: r.float().to(r.dtype),
    ),
    _kernel(
        "kernel_tanh_far_out",
        "tanh's kernel gives 0 where |tanh| > 0.99",
        "tanh_backward",
        lambda r, g, y: torch.where(y.abs() > 0.99, 0 * r, r),
    ),
    _kernel(
        "kernel_tanh_for_17",
        "tanh's kernel is wrong for 17 units",
        "tanh_backward",
        lambda r, g, y: -r if r.shape[-1] == 17 else r,
    ),
    _kernel(
        "kernel_tanh_last_of_a_vector",
        "tanh's kernel leaves the rest of vectors of 8 as it is",
        "tanh_backward",
        lambda r, g, y: torch.cat((r.flatten()[: r.numel() // 8 * 8], g.flatten()[r.numel() // 8 * 8 :])).view_as(r),
    ),
    _kernel("kernel_sigmoid_sign", "sigmoid's kernel has the other sign", "sigmoid_backward", lambda r, g, y: -r),
    _kernel(
        "kernel_sigmoid_in_a_gap",
        "sigmoid's kernel is wrong where σ is between 0.6 and 0.65",
        "sigmoid_backward",
        lambda r, g, y: torch.where((y > 0.6) & (y < 0.65), 2 * r, r),
    ),
    _kernel(
        "kernel_sigmoid_in_bfloat16",
        "sigmoid's kernel is wrong in bfloat16",
        "sigmoid_backward",
        lambda r, g, y: 1.5 * r if r.dtype == torch.bfloat16 else r,
    ),
    _kernel(
        "kernel_relu_closed",
        "ReLU's kernel lets the gradient pass at 0",
        "threshold_backward",
        lambda r, g, z, t: torch.where(z == t, g, r),
    ),
    _kernel(
        "kernel_relu_last",
        "ReLU's kernel gives 0 for the last element",
        "threshold_backward",
        lambda r, g, z, t: torch.cat((r.flatten()[:-1], 0 * r.flatten()[-1:])).view_as(r),
    ),
    _kernel(
        "kernel_relu_unstrided",
        "ReLU's kernel reads the gradient as if it were contiguous",
        "threshold_backward",
        lambda r, g, z, t: r if g.is_contiguous() else -r,
        equivalent="behind a layer that both paths do, the gradient is contiguous",
    ),
    _kernel(
        "kernel_leaky_default",
        "LeakyReLU's kernel takes 0.01",
        "leaky_relu_backward",
        lambda r, g, z, s, _: torch.where(z > 0, g, 0.01 * g),
    ),
    _elu("kernel_elu_in_float16", "ELU's kernel computes in float16", lambda r, z, _: r.half().to(r.dtype)),
    _elu("kernel_elu_below", "ELU's kernel gives 0 below -2", lambda r, z, is_result: torch.where(z < -2, 0 * r, r)),
    _kernel(
        "kernel_softplus_threshold",
        "Softplus's kernel is linear from 1 on",
        "softplus_backward",
        lambda r, g, z, b, t: torch.where(z * b > 1, g, r),
    ),
    _kernel("kernel_silu_is_sigmoid", "SiLU's kernel is σ", "silu_backward", lambda r, g, z: g * z.sigmoid()),
    _kernel(
        "kernel_hardtanh_closed",
        "Hardtanh's kernel lets the gradient pass at its ends",
        "hardtanh_backward",
        lambda r, g, z, low, high: torch.where((z == low) | (z == high), g, r),
    ),
    _kernel(
        "kernel_logsigmoid_positive",
        "LogSigmoid's kernel is wrong above 0",
        "log_sigmoid_backward",
        lambda r, g, z, b: torch.where(z > 0, r / 2, r),
    ),
    _linear(
        "linear_back_doubled",
        "F.linear's gradient of x is doubled",
        FIRST_ORDER,
        lambda back, w, b, x: (2 * back, w, b),
    ),
    _linear(
        "linear_back_first_unit",
        "F.linear's gradient of x is 0 for the first of several inputs",
        FIRST_ORDER,
        lambda back, w, b, x: (torch.cat((0 * back[..., :1], back[..., 1:]), -1) if back.shape[-1] > 1 else back, w, b),
    ),
    _linear(
        "linear_weight_negated",
        "F.linear's gradient of the weight has the other sign",
        AUTOGRAD,
        lambda back, w, b, x: (back, -w, b),
    ),
    _linear(
        "linear_weight_mean",
        "F.linear's gradient of the weight is a mean over samples",
        AUTOGRAD,
        lambda back, w, b, x: (back, w / len(x), b),
    ),
    _linear(
        "linear_bias_missing", "F.linear's gradient of the bias is 0", AUTOGRAD, lambda back, w, b, x: (back, w, 0 * b)
    ),
    _linear(
        "linear_weight_in_bfloat16",
        "F.linear's gradient of the weight goes through bfloat16",
        AUTOGRAD,
        lambda back, w, b, x: (back, w.bfloat16().to(w.dtype), b),
    ),
    _linear(
        "linear_weight_for_65",
        "F.linear's gradient of the weight is wrong for 65 inputs",
        AUTOGRAD,
        lambda back, w, b, x: (back, 2 * w if x.shape[-1] == 65 else w, b),
    ),
]
