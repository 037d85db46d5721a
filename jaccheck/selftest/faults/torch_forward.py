"""The model's own values are wrong: no path is to be accused, but the forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._finding import FORWARD
from jaccheck.selftest.fault import Fault
from jaccheck.selftest.patches import overridden, replaced


def _layer(name: str, words: str, layer: type[nn.Module], change: Callable[[Tensor, Any, Tensor], Tensor]) -> Fault:
    """The forward of `layer` gives what `change` makes of the right value, the module and its input."""

    def wrap(original: Any) -> Any:
        def forward(self: nn.Module, z: Tensor) -> Tensor:
            return change(original(self, z), self, z)

        return forward

    return replaced(name, words, (FORWARD,), (layer, "forward", wrap))


def _function(name: str, words: str, change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Fault:
    def wrap(original: Any) -> Any:
        return lambda x, weight, bias=None: change(original(x, weight, bias), x, weight)

    return replaced(name, words, (FORWARD,), (F, "linear", wrap))


def _kernel(name: str, words: str, op: str, spoil: Callable[..., Tensor]) -> Fault:
    def kernel(z: Tensor, *args: Any) -> Tensor:
        right = getattr(torch.ops.aten, op).out(z, *args, out=z.new_empty(0))
        return spoil(right, z)

    return overridden(name, words, (FORWARD,), **{op: kernel})


FAULTS = [
    _layer("forward_linear_scaled", "Linear gives 1.01 times the right value", nn.Linear, lambda y, m, x: 1.01 * y),
    _layer(
        "forward_linear_without_bias",
        "Linear forgets its bias",
        nn.Linear,
        lambda y, m, x: y if m.bias is None else y - m.bias,
    ),
    _layer(
        "forward_linear_of_33",
        "Linear is wrong for 33 inputs",
        nn.Linear,
        lambda y, m, x: -y if m.in_features == 33 else y,
    ),
    _layer(
        "forward_linear_last_unit",
        "Linear's last unit of several is 0",
        nn.Linear,
        lambda y, m, x: torch.cat((y[..., :-1], 0 * y[..., -1:]), -1) if m.out_features > 1 else y,
    ),
    _layer(
        "forward_relu_leaks",
        "ReLU lets a hundredth pass below 0",
        nn.ReLU,
        lambda y, m, z: torch.where(z < 0, z / 100, y),
    ),
    _layer("forward_tanh_in_bfloat16", "Tanh goes through bfloat16", nn.Tanh, lambda y, m, z: y.bfloat16().to(y.dtype)),
    _layer(
        "forward_softplus_far_out",
        "Softplus is 1 % too large above its threshold",
        nn.Softplus,
        lambda y, m, z: torch.where(z * m.beta > m.threshold, 1.01 * y, y),
    ),
    _layer("forward_elu_far_out", "ELU is 0 below -8", nn.ELU, lambda y, m, z: torch.where(z < -8, 0 * y, y)),
    _layer(
        "forward_sigmoid_in_a_gap",
        "Sigmoid is wrong from 1 to 1.2",
        nn.Sigmoid,
        lambda y, m, z: torch.where((z > 1) & (z < 1.2), y * 0.9, y),
    ),
    _layer("forward_elu_without_alpha", "ELU forgets α", nn.ELU, lambda y, m, z: F.elu(z)),
    _layer("forward_leaky_default", "LeakyReLU's slope is 0.01", nn.LeakyReLU, lambda y, m, z: F.leaky_relu(z)),
    _function(
        "forward_product_in_bfloat16", "F.linear goes through bfloat16", lambda y, x, w: y.bfloat16().to(y.dtype)
    ),
    _function(
        "forward_product_in_float32", "F.linear computes float64 in float32", lambda y, x, w: y.float().to(y.dtype)
    ),
    _function(
        "forward_product_for_129",
        "F.linear is wrong for 129 inputs",
        lambda y, x, w: y + 1 if x.shape[-1] == 129 else y,
    ),
    _function("forward_samples_rolled", "F.linear has the samples off by one", lambda y, x, w: y.roll(1, 0)),
    _function(
        "forward_last_sample",
        "F.linear gives 0 for the 17th sample",
        lambda y, x, w: torch.cat((y[:16], 0 * y[16:17], y[17:])) if len(y) > 16 else y,
    ),
    _kernel(
        "kernel_tanh_value",
        "tanh's kernel is wrong beyond 2",
        "tanh",
        lambda y, z: torch.where(z.abs() > 2, 0.9 * y, y),
    ),
    _kernel(
        "kernel_sigmoid_value", "sigmoid's kernel is 0 below -4", "sigmoid", lambda y, z: torch.where(z < -4, 0 * y, y)
    ),
    _kernel(
        "kernel_silu_value", "SiLU's kernel has the other sign below 0", "silu", lambda y, z: torch.where(z < 0, -y, y)
    ),
    _kernel("kernel_exp_value", "exp's kernel is 1 % off, and the oracle rests on it", "exp", lambda y, z: 1.01 * y),
    _kernel(
        "kernel_erfc_value", "erfc's kernel gives NaN, and the oracle rests on it", "erfc", lambda y, z: y * torch.nan
    ),
    _kernel(
        "kernel_mm_value", "products of matrices are 1 % off, and the oracle rests on them", "mm", lambda y, z: 1.01 * y
    ),
    _kernel(
        "kernel_bmm_value",
        "products of several matrices are 1 % off, and the oracle rests on them",
        "bmm",
        lambda y, z: 1.01 * y,
    ),
]
