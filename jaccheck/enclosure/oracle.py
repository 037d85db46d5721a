"""One sweep forward, one backward: where the output and the Jacobians of a model lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._chance import seeded
from jaccheck._rounding import ONE_PASS, Rounding
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up
from jaccheck.enclosure.call import Call
from jaccheck.enclosure.graph import in_a_row, traced
from jaccheck.enclosure.jacobian import Drifted, Extent, Jacobian, total
from jaccheck.enclosure.probe import arithmetic
from jaccheck.enclosure.rules import Random, Rule, Wire


@dataclass(frozen=True, eq=False)
class Outside:
    """Where the model's own values leave the forward enclosure for the first time."""

    layer: str
    index: tuple[int, ...]
    got: float
    centre: float
    radius: float


class Oracle:
    """The enclosures of one model at one input, for paths that round as `fl` has it, by default as the device does.

    With a `seed`, layers of chance draw from it: the masks of dropout are those of the model's own forward pass.

    Raises:
        Unsupported: a layer or function has no rule; the message names it.
    """

    def __init__(self, model: nn.Module, x: Tensor, fl: Arithmetic | None = None, *, seed: int | None = None) -> None:
        self.model, self.x, self.seed = model, x, seed
        self._trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.fl = fl or arithmetic(x.dtype, x.device)
        with torch.inference_mode(), seeded(seed, x.device):
            self._forward()
        self._swept: dict[str, dict[str, Jacobian]] = {}

    @property
    def output(self) -> Ball:
        """The forward enclosure of f(x), ``[N, C]``."""
        return self._values[self._output.index]

    @property
    def rules(self) -> list[tuple[Call, Rule]]:
        """The model's calls in order, each with its rule."""
        return [(call, rule) for call, rule, _ in self._calls]

    def _forward(self) -> None:
        self._values: list[Ball] = [Ball.exact(self.x)]
        self._calls: list[tuple[Call, Rule, tuple[Wire, ...]]] = []
        in_torch: list[Any] | None = None if self.seed is None else [self.x]
        row = in_a_row(self.model)
        self.has_run_the_model = row is None or in_torch is not None
        for call in traced(self.model, self.x) if row is None else row:
            if isinstance(call, Wire):
                self._output = call
                return
            rule, wires = call.rule(), call.wires
            if in_torch is not None:
                in_torch.append(rule.drawn(in_torch[wires[0].index]) if isinstance(rule, Random) else call.on(in_torch))
            self._values.append(rule.forward(self.fl, *(self._values[wire.index] for wire in wires)))
            self._calls.append((call, rule, wires))

    @cached_property
    def tangents_overflow(self) -> bool:
        """Whether a tangent may reach the largest number on its way: there forward mode isn't finite, though J is.

        What isn't finite to begin with doesn't count: that is no overflow.
        """
        largest, tangents = 0.0, [0.0]  # of the input, and of each call, for all parameters before it
        with torch.inference_mode():
            for _, rule, wires in self._calls:
                inputs = [self._values[wire.index].centre.abs() for wire in wires]  # ∂(W a)/∂W
                own = max(float(a[a.isfinite()].max()) if a.isfinite().any() else 0.0 for a in inputs)
                tangents.append(rule.gain * sum(tangents[wire.index] for wire in wires) + max(own, 1.0))
                largest = max(largest, tangents[-1])
        return not largest < self.fl.largest / 2

    def jacobians(self, mode: str = "reverse") -> dict[str, Jacobian]:
        """Each trainable parameter's Jacobian, of paths that work in reverse, or in any order ("forward")."""
        if mode not in self._swept:
            with torch.inference_mode():
                self._swept[mode] = self._backward(mode)
        return self._swept[mode]

    def _backward(self, mode: str) -> dict[str, Jacobian]:
        fl = self.fl
        N, C = self.output.shape
        one = torch.eye(C, dtype=torch.float64, device=self.x.device).expand(N, C, C)
        seed = Ball(one, torch.zeros_like(one), one if mode == "forward" else None, finite=True)
        cotangents: dict[int, list[Ball]] = {self._output.index: [seed]}
        parts: dict[int, list[Jacobian]] = {id(p): [] for p in self._trainable.values()}
        drift = one.new_zeros(N, C)
        for index in range(len(self._calls), 0, -1):
            if index not in cotangents:
                continue
            rule, wires = self._calls[index - 1][1:]
            D = fl.total(cotangents.pop(index))
            if mode == "forward":
                # A tangent underflows in each operation on its way, and ∂f/∂(value) carries that on to f: in a sum
                # over features, in at most eight operations besides, and in those whose result the call multiplies.
                terms = 8 + max(self._values[wire.index].shape[1:].numel() for wire in wires)
                drift = up(drift + _summed(D.mag * (rule.tangent_loss + terms)) * fl.eta)
            for p, jacobian in rule.jacobians(fl, D):
                if id(p) in parts:
                    parts[id(p)].append(Drifted(jacobian, drift) if mode == "forward" else jacobian)
            if any(wire.index for wire in wires):  # the input's own derivative is not asked for
                for wire, part in zip(wires, rule.vjp(fl, D), strict=True):
                    cotangents.setdefault(wire.index, []).append(part)
                    if mode == "forward" and fl.flushed:  # a tangent that counts as zero where it goes in
                        drift = up(drift + _summed(part.mag) * fl.flushed)
        return {name: total(parts[id(p)], (N, C, *p.shape), self.x.device) for name, p in self._trainable.items()}

    def rows(self, name: str, n: slice, c: slice, rounding: Rounding = ONE_PASS) -> Ball:
        """The enclosure of parameter `name` for samples `n` and outputs `c`, ``[n, c, *p.shape]``."""
        with torch.inference_mode():
            return self.fl.rounded(self.jacobians(rounding.mode)[name].rows(self.fl, n, c), rounding.more)

    def against(self, name: str, value: Tensor, n: slice, c: slice, rounding: Rounding = ONE_PASS) -> Ball:
        """As `rows`, for a path that gave `value` there: where it overflows though J doesn't, nothing is known."""
        ball = self.rows(name, n, c, rounding)
        if rounding.mode == "forward" and self.tangents_overflow:
            return Ball(ball.centre, torch.where(value.isfinite(), ball.radius, inf))
        return ball

    def glance(self, name: str, value: Tensor, n: slice, c: slice, rounding: Rounding = ONE_PASS) -> Extent | None:
        """The extent of parameter `name`'s part if `value` is cheaply seen to lie inside; None: look at `rows`."""
        return self.jacobians(rounding.mode)[name].glance(self.fl, value, n, c, rounding.more)

    def replayed(self, x: Tensor, stand_in: Callable[[Tensor], Tensor]) -> Tensor:
        """f(x) by the calls that the oracle has read, without hooks, on `stand_in` of each parameter or buffer."""
        values: list[Any] = [x.detach()]
        with seeded(self.seed, self.x.device):
            for call, _, _ in self._calls:
                values.append(call.bare(stand_in).on(values))
        output: Tensor = values[self._output.index]
        return output

    def first_outside(self) -> Outside | None:
        """The first call that, applied to what torch computed before it, leaves its forward enclosure."""
        with torch.no_grad(), seeded(self.seed, self.x.device):
            values: list[Any] = [self.x]
            for (call, _, _), ball in zip(self._calls, self._values[1:], strict=True):
                value = call.on(values)
                values.append(value)
                outside = ball.excludes(value)
                if outside.any():
                    _, index = ball.farthest(value, outside)
                    return Outside(call.name, index, *(float(t[index]) for t in (value, ball.centre, ball.radius)))
        return None


def _summed(D: Tensor) -> Tensor:
    """Over all features, ``[N, C]``; there may be no axis of these, and no samples."""
    return D.reshape(*D.shape[:2], math.prod(D.shape[2:])).sum(2)
