"""A problem's activations, each by itself, and layers to put around them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from jaccheck._activations import ACTIVATIONS
from jaccheck._errors import InvalidProblem
from jaccheck._modules import Functional
from jaccheck._problem import Problem, admit
from jaccheck.enclosure import Oracle
from jaccheck.enclosure.call import Call
from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.properties._chance import chance
from jaccheck.properties._copies import copied
from jaccheck.properties._once import once


@dataclass(frozen=True)
class Found:
    """An activation of a model."""

    make: Callable[[], nn.Module]
    """It as a module; InvalidProblem: it can't be copied."""
    phi: Activation
    """Its rule's."""


def activations(problem: Problem) -> dict[str, Found]:
    """The model's activations, by what they are called; each kind once, and none that depends on the channel.

    Raises:
        Unsupported: there is no enclosure for a part of the model.
    """
    return {_said(call): Found(partial(_module, call), rule.phi) for call, rule in _elementwise(problem)}


def with_other_settings(problem: Problem) -> dict[str, Found]:
    """For each of `activations` that has settings, as a slope is one, the same with some that are worth trying."""
    found: dict[str, Found] = {}
    numbers, one = chance(problem), problem.x.detach().new_ones(1, 1)
    for call, _ in _elementwise(problem):
        for name, kind in ACTIVATIONS.items():
            if kind.parameters and (type(call.layer) is kind.module or call.run is kind.function):
                settings = {key: numbers.choice(parameter.values) for key, parameter in kind.parameters.items()}
                other = Functional(name, settings) if call.layer is None else kind.module(**settings)
                found |= activations(admit(nn.Sequential(linear(one, one[0]), other), one))
    return found


@once
def _elementwise(problem: Problem) -> list[tuple[Call, Elementwise]]:
    try:
        rules = Oracle(problem.model, problem.x, seed=problem.seed).rules
    finally:
        problem.before.restore()  # what tracing, which runs the model's own forward, may have changed
    return [(call, rule) for call, rule in rules if isinstance(rule, Elementwise) and rule.alike]


def ordinary(problem: Problem) -> dict[str, Found]:
    """Those of `activations` that have a value and a slope wherever an argument is of ordinary size.

    A root or a logarithm hasn't. Between layers it would give NaN in some samples, and what a path makes of that in the
    others is for `batching` to ask.
    """
    z = torch.linspace(-4, 4, 65, dtype=torch.float64, device="cpu")
    largest = torch.finfo(problem.dtype).max

    def has_both(phi: Activation) -> bool:
        return all(bool((t.abs() <= largest).all()) for t in (phi.value(z), phi.slope(z)))

    return {words: found for words, found in activations(problem).items() if has_both(found.phi)}


def chosen(every: Mapping[str, Found], numbers: random.Random) -> tuple[str, Callable[[], nn.Module]]:
    """What one of a problem's activations is called, and how to make it; "" and Identity where there are none."""
    return numbers.choice([(words, found.make) for words, found in every.items()] or [("", nn.Identity)])


def _said(call: Call) -> str:
    if call.layer is not None:
        return repr(call.layer)
    settings = [repr(argument) for argument in call.args[1:]]
    settings += [f"{name}={value!r}" for name, value in call.kwargs.items()]
    return f"{call.name}({', '.join(settings)})"


def _module(call: Call) -> nn.Module:
    if call.layer is not None:
        try:
            return copied(call.layer)
        except Exception as error:  # the user's own classes
            raise InvalidProblem(f"{_said(call)} can't be copied: {error}") from error
    for name, activation in ACTIVATIONS.items():
        if call.run is activation.function and len(call.args) == 1:
            return Functional(name, call.kwargs)
    return _Function(call)


class _Function(nn.Module):
    """A function that isn't written as those of our own networks are."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.call.on([x] * (1 + max(wire.index for wire in self.call.wires)))
        return result


def linear(weight: Tensor, bias: Tensor | None, *, frozen: bool = True) -> nn.Linear:
    """A layer of these numbers, whose bias has a Jacobian, and whose weight has one only if it isn't `frozen`."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=not frozen)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


def as_biases(activation: nn.Module, every: Tensor) -> tuple[nn.Module, Tensor]:
    """``f(0) = Σ φ(b)``, so that ``∂f/∂b = φ'(b)``."""
    first = linear(torch.zeros_like(every)[:, None], every)
    last = linear(torch.ones_like(every)[None], None)
    return nn.Sequential(first, activation, last), torch.zeros_like(every[:1, None])


def as_samples(activation: nn.Module, every: Tensor) -> tuple[nn.Module, Tensor]:
    """``f(x) = φ(x + b)`` for ``b = 0``, so that ``∂f/∂b = φ'(x)``."""
    every = every[every.isfinite()]
    one = torch.ones_like(every[:1])
    return nn.Sequential(linear(one[None], 0 * one), activation), every[:, None]
