"""The activations of a network: the one table of their torch classes, functions and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import nn
from torch.nn import functional as F

_LARGE = 1e30  # below the largest float32, where torch refuses numbers


@dataclass(frozen=True)
class Parameter:
    """A parameter of an activation: what it may be, and what is worth trying, the default first."""

    values: tuple[float | str, ...]
    low: float = -_LARGE
    high: float = _LARGE
    excluded: tuple[float, ...] = ()

    def allows(self, value: object) -> bool:
        if isinstance(self.values[0], str):
            return type(value) is str and value in self.values
        return type(value) in (int, float) and self.low <= value <= self.high and value not in self.excluded  # type: ignore[operator]

    def __str__(self) -> str:
        if isinstance(self.values[0], str):
            return f"one of {', '.join(map(str, self.values))}"
        but = f", but not {', '.join(map(str, self.excluded))}" if self.excluded else ""
        return f"a number from {self.low} to {self.high}{but}"


@dataclass(frozen=True)
class Kind:
    """One activation: ``module(**parameters)(x)`` and ``function(x, **parameters)`` are the same."""

    module: type[nn.Module]
    function: Callable[..., Any]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


_SLOPE = Parameter((0.01, 0, 1, 0.5, 2, -1, -0.25, 0.3))
_ALPHA = Parameter((1, 0, 0.5, 2, -1, 1.7, 3))

ACTIVATIONS: Mapping[str, Kind] = MappingProxyType(
    {
        "ReLU": Kind(nn.ReLU, F.relu),
        "Identity": Kind(nn.Identity, lambda x: x),
        "LeakyReLU": Kind(nn.LeakyReLU, F.leaky_relu, {"negative_slope": _SLOPE}),
        "Sigmoid": Kind(nn.Sigmoid, F.sigmoid),
        "Tanh": Kind(nn.Tanh, F.tanh),
        "ELU": Kind(nn.ELU, F.elu, {"alpha": _ALPHA}),
        "SELU": Kind(nn.SELU, F.selu),
        "LogSigmoid": Kind(nn.LogSigmoid, F.logsigmoid),
        "Hardtanh": Kind(
            nn.Hardtanh,
            F.hardtanh,
            {  # torch asks for min_val < max_val
                "min_val": Parameter((-1, 0, -2, -0.3), high=0),
                "max_val": Parameter((1, 6, 0.5, 0.7), low=0, excluded=(0,)),
            },
        ),
        "ReLU6": Kind(nn.ReLU6, F.relu6),
        "Softplus": Kind(
            nn.Softplus,
            F.softplus,
            {
                "beta": Parameter((1, 2, 0.5, 3.3), low=0, excluded=(0,)),
                "threshold": Parameter((20, 1, 0, 40)),
            },
        ),
        "Softsign": Kind(nn.Softsign, F.softsign),
        "SiLU": Kind(nn.SiLU, F.silu),
        "GELU": Kind(nn.GELU, F.gelu, {"approximate": Parameter(("none", "tanh"))}),
        "Mish": Kind(nn.Mish, F.mish),
        "CELU": Kind(nn.CELU, F.celu, {"alpha": Parameter((1, 0.5, 2, -1, 1.7), excluded=(0,))}),
        "Hardswish": Kind(nn.Hardswish, F.hardswish),
        "Hardsigmoid": Kind(nn.Hardsigmoid, F.hardsigmoid),
        "Softshrink": Kind(nn.Softshrink, F.softshrink, {"lambd": Parameter((0.5, 0, 1, 0.3), low=0)}),
        "Hardshrink": Kind(nn.Hardshrink, F.hardshrink, {"lambd": Parameter((0.5, 0, 1, 0.3), low=0)}),
        "Tanhshrink": Kind(nn.Tanhshrink, F.tanhshrink),
    }
)

CORE = ("ReLU", "Identity", "LeakyReLU", "Sigmoid", "Tanh", "ELU", "SELU", "LogSigmoid")
"""Those for which all three paths of the example have a rule."""
