"""t, held between two bounds."""

from __future__ import annotations

from math import inf, isfinite

import torch
from torch import nn
from torch.nn import functional as F

from jaccheck._capabilities import clamps_openly
from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


def held(low: float, high: float, *, open_at_bounds: bool = True) -> Elementwise:
    """At the bounds torch takes the derivative as 0, or as 1 if the range isn't `open_at_bounds`."""

    def slope(t: torch.Tensor) -> torch.Tensor:
        return (~((t <= low) | (t >= high)) if open_at_bounds else (t >= low) & (t <= high)).double()

    return Elementwise(
        Activation(
            value=lambda t: t.clamp(low, high),
            slope=slope,
            value_error=lambda t, a: ((t.low <= low) | (t.high >= high)) * a,  # the bounds as numbers of the dtype
            slope_error=0,
            kinks=tuple((bound, 1.0, 0.0) for bound in (low, high) if isfinite(bound)),
            exact_where=lambda t: t.isfinite(),
            at_nan=False,
        )
    )


@rule(nn.Hardtanh, F.hardtanh, "hardtanh")
def hardtanh(wire: Wire, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Elementwise:
    return held(min_val, max_val)


@rule(torch.clamp, torch.clip, "clamp", "clip")
def clamp(input: Wire, min: float | None = None, max: float | None = None) -> Elementwise:
    return _clamped(min, max, "clamp")


@rule(torch.clamp_min, "clamp_min")
def clamp_min(input: Wire, min: float) -> Elementwise:
    return _clamped(min, None, "clamp_min")


@rule(torch.clamp_max, "clamp_max")
def clamp_max(input: Wire, max: float) -> Elementwise:
    return _clamped(None, max, "clamp_max")


def _clamped(min: float | None, max: float | None, method: str) -> Elementwise:
    bounds = -inf if min is None else min, inf if max is None else max
    if not all(isinstance(bound, (int, float)) for bound in bounds) or not bounds[0] <= bounds[1]:
        raise Unsupported(f"no enclosure for a clamp to {min} and {max}: only for two numbers in their order")
    return held(float(bounds[0]), float(bounds[1]), open_at_bounds=clamps_openly(method))


@rule(nn.ReLU6, F.relu6, "relu6")
def relu6(wire: Wire, inplace: bool = False) -> Elementwise:
    return held(0.0, 6.0)
