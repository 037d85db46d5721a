"""An activation's derivative is wrong: somewhere, or for some of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck.paths import get
from jaccheck.selftest.fault import LOOP, Fault
from jaccheck.selftest.wrong_paths import Jacobian, made

Slope = Callable[[Tensor, Tensor, Any], Tensor]
"""From z, the right φ'(z) and the module to what stands instead."""


class _Instead(nn.Module):
    """An activation with its own value and another derivative."""

    def __init__(self, module: nn.Module, slope: Slope) -> None:
        super().__init__()
        self.module, self.slope = module, slope

    def forward(self, z: Tensor) -> Tensor:
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            value: Tensor = self.module(leaf)
            (right,) = torch.autograd.grad(value.sum(), leaf)
        slope = self.slope(leaf.detach(), right, self.module)
        return _Given.apply(z, value.detach(), slope)  # type: ignore[no-any-return, no-untyped-call]


class _Given(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return torch.where(slope == 0, torch.zeros_like(gradient), gradient * slope), None, None


def _instead(model: nn.Module, kind: type[nn.Module], slope: Slope) -> nn.Module:
    """`model`, copied, with another derivative for each activation of the kind."""
    model = deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is kind:
                setattr(module, name, _Instead(child, slope))
    return _Instead(model, slope) if type(model) is kind else model


def sloped(name: str, words: str, kind: type[nn.Module], slope: Slope, equivalent: str | None = None) -> Fault:
    """The derivative of `kind` is another one; models without it have the right Jacobian."""

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        here = any(type(module) is kind for module in model.modules())
        return get(LOOP).jacobian(_instead(model, kind, slope) if here else model, x)

    return made(name, words, lambda: compute, equivalent, base=LOOP)


def _between(low: float, high: float, factor: float = 1.25) -> Slope:
    return lambda z, s, _: torch.where((z >= low) & (z < high), s * factor, s)


def _in_dtype(dtype: torch.dtype, slope: Slope) -> Slope:
    return lambda z, s, module: slope(z, s, module) if z.dtype == dtype else s


def _at(argument: float) -> Slope:
    return lambda z, s, _: torch.where(z == argument, s + 0.5, s)


def _one_at(kink: float, slope: float = 1.0) -> Slope:
    return lambda z, s, _: torch.where(z == kink, torch.full_like(s, slope), s)


FAULTS = [
    sloped("relu_has_slope_one_at_zero", "ReLU'(0) is 1", nn.ReLU, lambda z, s, _: (z >= 0).to(s.dtype)),
    sloped("relu_has_slope_a_half_at_zero", "ReLU'(0) is 1/2", nn.ReLU, _at(0.0)),
    sloped("leaky_relu_has_slope_one_at_zero", "LeakyReLU'(0) is 1", nn.LeakyReLU, _one_at(0.0)),
    sloped("elu_has_slope_one_at_zero", "ELU'(0) is 1, for whatever α", nn.ELU, _one_at(0.0)),
    sloped("selu_has_slope_one_at_zero", "SELU'(0) is 1.05, as above it", nn.SELU, _one_at(0.0, 1.05070098)),
    sloped("hardswish_has_slope_3_2_at_three", "Hardswish'(3) is 3/2, as below it", nn.Hardswish, _one_at(3.0, 1.5)),
    sloped("relu_leaks", "ReLU' is 0.01 below 0", nn.ReLU, lambda z, s, _: torch.where(z < 0, s + 0.01, s)),
    sloped(
        "relu_flat_far_below_float32",
        "ReLU' is 0 below 1e-300 in float64",
        nn.ReLU,
        _in_dtype(torch.float64, lambda z, s, _: torch.where(z < 1e-300, 0 * s, s)),
    ),
    sloped("relu_saturates", "ReLU' is 0 from 6 on", nn.ReLU, lambda z, s, _: torch.where(z >= 6, 0 * s, s)),
    sloped(
        "leaky_slope_is_the_default",
        "LeakyReLU's slope is always 0.01",
        nn.LeakyReLU,
        lambda z, s, _: torch.where(z > 0, s, torch.full_like(s, 0.01)),
    ),
    sloped(
        "leaky_slope_of_zero",
        "LeakyReLU's slope is 0.01 where it is 0",
        nn.LeakyReLU,
        lambda z, s, m: torch.where(z > 0, s, torch.full_like(s, m.negative_slope or 0.01)),
    ),
    sloped("leaky_slope_is_positive", "LeakyReLU's slope has lost its sign", nn.LeakyReLU, lambda z, s, _: s.abs()),
    sloped("sigmoid_wrong_in_a_gap", "Sigmoid' is wrong from 2 to 2.1", nn.Sigmoid, _between(2, 2.1)),
    sloped("sigmoid_wrong_in_a_narrow_gap", "Sigmoid' is wrong from 2 to 2.01", nn.Sigmoid, _between(2, 2.01)),
    sloped("sigmoid_wrong_at_one_argument", "Sigmoid' is wrong at -1.5 alone", nn.Sigmoid, _at(-1.5)),
    sloped(
        "sigmoid_wrong_in_a_gap_of_float64",
        "Sigmoid' is wrong from 2 to 2.1 in float64",
        nn.Sigmoid,
        _in_dtype(torch.float64, _between(2, 2.1)),
    ),
    sloped(
        "sigmoid_wrong_in_a_gap_of_float32",
        "Sigmoid' is wrong from -3.1 to -3 in float32",
        nn.Sigmoid,
        _in_dtype(torch.float32, _between(-3.1, -3)),
    ),
    sloped(
        "sigmoid_without_its_complement", "Sigmoid' is σ instead of σ (1 - σ)", nn.Sigmoid, lambda z, s, _: z.sigmoid()
    ),
    sloped(
        "sigmoid_is_flat_too_early",
        "Sigmoid' is 0 beyond 8",
        nn.Sigmoid,
        lambda z, s, _: torch.where(z.abs() > 8, 0 * s, s),
    ),
    sloped(
        "sigmoid_piecewise_linear",
        "Sigmoid' is that of its tangent at 0",
        nn.Sigmoid,
        lambda z, s, _: torch.where(z.abs() < 1, s * 0 + 0.25, s),
    ),
    sloped(
        "tanh_is_flat_too_early", "Tanh' is 0 beyond 3", nn.Tanh, lambda z, s, _: torch.where(z.abs() > 3, 0 * s, s)
    ),
    sloped(
        "tanh_wrong_near_zero",
        "Tanh' is 1 from -0.05 to 0.05",
        nn.Tanh,
        lambda z, s, _: torch.where(z.abs() < 0.05, 0 * s + 1, s),
    ),
    sloped(
        "tanh_in_float16",
        "Tanh' is computed in float16",
        nn.Tanh,
        lambda z, s, _: (1 - z.half().tanh() ** 2).to(s.dtype),
    ),
    sloped(
        "tanh_by_its_series",
        "Tanh' is 1 - z² below 1/4",
        nn.Tanh,
        lambda z, s, _: torch.where(z.abs() < 0.25, 1 - z * z, s),
    ),
    sloped("elu_without_alpha", "ELU' forgets α", nn.ELU, lambda z, s, _: torch.where(z < 0, z.exp(), s)),
    sloped("elu_slope_one_at_zero", "ELU'(0) is α + 1/2", nn.ELU, _at(0.0)),
    sloped("selu_without_scale_above", "SELU' is 1 above 0", nn.SELU, lambda z, s, _: torch.where(z > 0, 0 * s + 1, s)),
    sloped(
        "selu_with_three_digits",
        "SELU' has its scale to three digits",
        nn.SELU,
        lambda z, s, _: s * (1.051 / 1.0507009873554805),
    ),
    sloped(
        "logsigmoid_wrong_far_out",
        "LogSigmoid' is 0 below -10",
        nn.LogSigmoid,
        lambda z, s, _: torch.where(z < -10, 0 * s, s),
    ),
    sloped("logsigmoid_has_the_other_argument", "LogSigmoid' is that of -z", nn.LogSigmoid, lambda z, s, _: 1 - s),
    sloped("softplus_without_beta", "Softplus' forgets β", nn.Softplus, lambda z, s, _: z.sigmoid()),
    sloped(
        "softplus_without_threshold",
        "Softplus' isn't linear above its threshold",
        nn.Softplus,
        lambda z, s, m: torch.where(z * m.beta > m.threshold, (z * m.beta).sigmoid(), s),
    ),
    sloped(
        "hardtanh_closed",
        "Hardtanh' is 1 at its ends",
        nn.Hardtanh,
        lambda z, s, m: ((z >= m.min_val) & (z <= m.max_val)).to(s.dtype),
    ),
    sloped(
        "gelu_is_the_other_one",
        "GELU' is that of Sigmoid(1.702 z) z",
        nn.GELU,
        lambda z, s, _: (1.702 * z).sigmoid() * (1 + 1.702 * z * (1 - (1.702 * z).sigmoid())),
    ),
    sloped("silu_without_its_product", "SiLU' is σ", nn.SiLU, lambda z, s, _: z.sigmoid()),
    sloped("softsign_not_squared", "Softsign' is 1 / (1 + |z|)", nn.Softsign, lambda z, s, _: 1 / (1 + z.abs())),
    sloped(
        "hardshrink_closed",
        "Hardshrink' is 1 at its ends",
        nn.Hardshrink,
        lambda z, s, m: (z.abs() >= m.lambd).to(s.dtype),
    ),
    sloped("softshrink_inside_out", "Softshrink' is 1 inside", nn.Softshrink, lambda z, s, _: 1 - s),
    sloped("tanhshrink_is_tanh", "Tanhshrink' is Tanh'", nn.Tanhshrink, lambda z, s, _: 1 - s),
    sloped("mish_wrong_in_a_gap", "Mish' is wrong from -2 to -1.9", nn.Mish, _between(-2, -1.9)),
    sloped("celu_without_alpha", "CELU' forgets α", nn.CELU, lambda z, s, _: torch.where(z < 0, z.exp(), s)),
    sloped("hardswish_closed", "Hardswish' is wrong in the last tenth", nn.Hardswish, _between(2.9, 3.0)),
    sloped("relu6_is_relu", "ReLU6' is that of ReLU", nn.ReLU6, lambda z, s, _: (z > 0).to(s.dtype)),
    sloped("identity_halved", "Identity' is 1/2", nn.Identity, lambda z, s, _: s / 2),
]
