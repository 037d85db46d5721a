"""Models of the problem's activations in other forms have the right Jacobian."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._activations import ACTIVATIONS
from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._modules import Either, Functional, Sum
from jaccheck._problem import Problem, admit
from jaccheck._report import Verdict
from jaccheck.judging.case import Case
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path
from jaccheck.properties._activations import activations, chosen, linear, ordinary
from jaccheck.properties._chance import chance
from jaccheck.properties._kinks import AtKinks, Kinked, at_kinks
from jaccheck.properties._variants import Take, Variant, Varied

SEED = 0
"""With which random numbers begin where a form needs any."""
SHAPES = ((2, 3), (3, 2), (2, 1, 3), (3, 2, 1), (2, 2, 2))
"""Of samples that are flattened: another order of the axes is another order of the features."""
WITH_PARAMETERS: Mapping[str, Mapping[str, Sequence[float | str]]] = {
    "ELU": {"alpha": (0.5, 2.0, -1.0, 0.0)},
    "Hardtanh": {"min_val": (-0.5, -2.0, 0.0), "max_val": (0.5, 2.0)},
    "Softplus": {"beta": (0.5, 2.0), "threshold": (1.0, 4.0, 0.0)},
    "GELU": {"approximate": ("tanh",)},
    "CELU": {"alpha": (0.5, 2.0, -1.0)},
    "Softshrink": {"lambd": (0.25, 0.125, 0.0)},
    "Hardshrink": {"lambd": (0.25, 0.125, 0.0)},
}
"""Activations besides LeakyReLU, and parameters that aren't torch's own; 0 may be taken for none."""
SLOPES = (0.5, 2.0, -0.5, -0.25, 0.0)
"""LeakyReLU's, likewise."""
FROZEN = ((), ("weight",), ("bias",), ("weight", "bias"))
"""Parts of a layer."""


class Forms(Varied):
    """One of the problem's `ordinary` activations, as it decides, in models of other forms than layers in a row.

    They are small, and no two of their numbers are alike. ReLU's function and its own stand at their kinks, too, where
    torch's own derivative is the right one. Layers used twice and tied parameters aren't among them: with these a
    library is known to be wrong, whatever the model, so that they are asked about where the network has them.
    """

    name = "forms"
    itself = False

    def __init__(self) -> None:
        super().__init__()
        self._at_kinks = AtKinks(self.name, _kinked)

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        numbers = chance(problem)
        words, make = chosen(ordinary(problem), numbers)
        for where, form in (FORMS if problem.seed is None else FORMS | OF_CHANCE).items():
            parts = _Parts(problem, make, random.Random(numbers.getrandbits(64)))
            yield partial(_variant, f"{words or 'no activation'} {where}", form, parts)

    def judge(self, trial: Trial) -> Verdict:
        return self._at_kinks.judge(trial) or super().judge(trial)

    def cases(self, problem: Problem, path: Path) -> Iterator[Case]:
        yield from self._at_kinks.cases(problem, path)
        yield from super().cases(problem, path)

    def of(self, trial: Trial, problem: Problem) -> Verdict | None:
        return self._at_kinks.judge(trial, problem) or super().of(trial, problem)


def _kinked(problem: Problem) -> Iterator[Kinked]:
    """ReLU's function, and that of the problem's activation."""
    functions = [Functional("ReLU", {})]
    with suppress(InvalidProblem, Unsupported):
        functions.append(_function(chosen(ordinary(problem), chance(problem))[1]()))
    one = problem.x.detach().new_ones(1, 1)
    every = admit(nn.Sequential(linear(one, one[0]), *functions), one)
    return at_kinks(activations(every), one)


@dataclass(frozen=True)
class _Parts:
    """What forms are put together from."""

    problem: Problem
    activation: Callable[[], nn.Module]
    numbers: random.Random

    def linear(self, inputs: int, outputs: int, *, frozen: bool = False) -> nn.Linear:
        weight = self._sampled((*range(-10, -2), *range(3, 11)), outputs, inputs) / (16 if inputs < 5 else 32)
        bias = self._sampled((-3, -2, -1, *range(1, 8)), outputs) / 8  # most are positive: elsewhere ReLU' is 0
        return linear(weight, bias).requires_grad_(not frozen)

    def of_both_signs(self) -> nn.Linear:
        """The first unit is negative, others mostly positive."""
        layer = self.linear(2, 3)
        with torch.no_grad():
            layer.bias[0] = -1.75  # a weight is up to 10/16, an input to 10/8
        return layer

    def x(self, *shape: int) -> Tensor:
        size = max(8, prod(shape))
        return self._sampled((*range(-size - 2, -2), *range(3, size + 3)), *shape) / 8

    def _sampled(self, among: Sequence[int], *shape: int) -> Tensor:
        """No two alike, where there are so many."""
        few = self.numbers.sample(among, min(prod(shape), len(among)))
        few += self.numbers.choices(among, k=prod(shape) - len(few))
        return self.problem.x.detach().new_tensor(few).view(shape)

    def size(self) -> int:
        return self.numbers.randint(2, 3)


Form = Callable[[_Parts], tuple[nn.Module, Tensor]]


def _square(parts: _Parts) -> tuple[nn.Module, Tensor]:
    n = parts.size()
    return nn.Sequential(parts.linear(n, n), parts.activation(), parts.linear(n, n)), parts.x(n, n)


def _one_output(parts: _Parts) -> tuple[nn.Module, Tensor]:
    n = parts.size()
    return nn.Sequential(parts.linear(2, n), parts.activation(), parts.linear(n, 1)), parts.x(n, 2)


def _flattened(parts: _Parts) -> tuple[nn.Module, Tensor]:
    shape = parts.numbers.choice(SHAPES)
    layers = nn.Flatten(), parts.linear(prod(shape), 3), parts.activation(), parts.linear(3, 2)
    return nn.Sequential(*layers), parts.x(parts.size(), *shape)


def _frozen(parts: _Parts) -> tuple[nn.Module, Tensor]:
    layers = parts.linear(2, 3, frozen=True), parts.activation(), parts.linear(3, 3), parts.activation()
    return nn.Sequential(*layers, parts.linear(3, 2)), parts.x(parts.size(), 2)


def _partly_frozen(parts: _Parts) -> tuple[nn.Module, Tensor]:
    """Of one layer all, of one the weight, of one the bias."""
    linears = [parts.linear(inputs, outputs) for inputs, outputs in pairwise((2, 3, 3, 3, 2))]
    for layer, names in zip(linears, parts.numbers.sample(FROZEN, len(FROZEN)), strict=True):
        for name in names:
            layer.get_parameter(name).requires_grad_(False)
    first, second, third, last = linears
    layers = first, parts.activation(), second, parts.activation(), third, last
    return nn.Sequential(*layers), parts.x(parts.size(), 2)


def _activated(parts: _Parts) -> tuple[nn.Module, Tensor]:
    layers = parts.activation(), parts.linear(2, 3), parts.activation(), parts.activation(), parts.linear(3, 2)
    return nn.Sequential(*layers), parts.x(parts.size(), 2)


def _switched(parts: _Parts) -> tuple[nn.Module, Tensor]:
    either = Either([parts.linear(2, 3), parts.linear(2, 3)])
    either.active = 1
    return nn.Sequential(either, parts.activation(), parts.linear(3, 2)), parts.x(parts.size(), 2)


def _sum(parts: _Parts) -> tuple[nn.Module, Tensor]:
    inner = nn.Sequential(parts.linear(3, 3), parts.activation())
    return nn.Sequential(parts.linear(2, 3), Sum(inner), parts.linear(3, 2)), parts.x(parts.size(), 2)


def _sum_in_a_sum(parts: _Parts) -> tuple[nn.Module, Tensor]:
    inner = Sum(nn.Sequential(parts.linear(2, 2), parts.activation()))
    outer = Sum(nn.Sequential(parts.linear(2, 2), inner))
    return nn.Sequential(parts.linear(2, 2), outer, parts.linear(2, 2)), parts.x(parts.size(), 2)


def _as_function(parts: _Parts) -> tuple[nn.Module, Tensor]:
    layers = parts.of_both_signs(), _function(parts.activation()), parts.linear(3, 2)
    return nn.Sequential(*layers), parts.x(parts.size(), 2)


def _function(activation: nn.Module) -> Functional:
    """InvalidProblem: it isn't one of which we know the function."""
    if isinstance(activation, Functional):
        return activation
    for name, kind in ACTIVATIONS.items():
        if type(activation) is kind.module:
            return Functional(name, {word: getattr(activation, word) for word in kind.parameters})
    raise InvalidProblem(f"{activation} has no function of its own")


def _others(parts: _Parts, make: Callable[[str, dict[str, Any]], nn.Module]) -> tuple[nn.Module, Tensor]:
    """LeakyReLU, and one of the others."""
    name = parts.numbers.choice(list(WITH_PARAMETERS))
    other = {word: parts.numbers.choice(values) for word, values in WITH_PARAMETERS[name].items()}
    leaky = make("LeakyReLU", {"negative_slope": parts.numbers.choice(SLOPES)})
    layers = parts.of_both_signs(), leaky, parts.linear(3, 3), make(name, other), parts.linear(3, 2)
    return nn.Sequential(*layers), parts.x(parts.size(), 2)


def _other_functions(parts: _Parts) -> tuple[nn.Module, Tensor]:
    return _others(parts, Functional)


def _before_other_layers(parts: _Parts) -> tuple[nn.Module, Tensor]:
    others, x = _others(parts, lambda name, parameters: ACTIVATIONS[name].module(**parameters))
    return nn.Sequential(parts.activation(), *others.children()), x


def _dropped(parts: _Parts) -> tuple[nn.Module, Tensor]:
    """Twice, with two masks."""
    first, second = parts.numbers.sample((0.25, 0.5), 2)
    layers = parts.linear(2, 4), nn.Dropout(first), parts.activation(), parts.linear(4, 4), nn.Dropout(second)
    return nn.Sequential(*layers, parts.linear(4, 2)), parts.x(4, 2)


def _dropped_once(parts: _Parts) -> tuple[nn.Module, Tensor]:
    """Of two Dropouts one is in the other mode than the model."""
    model, x = _dropped(parts)
    model.train(parts.numbers.random() < 0.5)
    first, second = (module for module in model.children() if isinstance(module, nn.Dropout))
    parts.numbers.choice((first, second)).train(not model.training)
    return model, x


def _all_dropped(parts: _Parts) -> tuple[nn.Module, Tensor]:
    layers = parts.linear(2, 4), nn.Dropout(1.0), parts.activation(), parts.linear(4, 2)
    return nn.Sequential(*layers), parts.x(3, 2)


FORMS: dict[str, Form] = {
    "as many samples, units and outputs": _square,
    "as many samples as units, and one output": _one_output,
    "behind samples that are flattened": _flattened,
    "behind a frozen layer": _frozen,
    "between layers that are frozen in part": _partly_frozen,
    "before the first layer, and twice in a row": _activated,
    "behind the second part of a switch": _switched,
    "in a residual sum": _sum,
    "in a residual sum within another": _sum_in_a_sum,
    "as a function": _as_function,
    "not asked for, but other functions with parameters": _other_functions,
    "before other layers with parameters": _before_other_layers,
    "behind Dropout": _dropped,
    "behind Dropout in a mode of its own": _dropped_once,
}
OF_CHANCE: dict[str, Form] = {"behind Dropout of everything": _all_dropped}
"""Where the problem itself draws random numbers: a library is known to raise there, whatever the model."""


def _variant(words: str, form: Form, parts: _Parts) -> Variant:
    other = admit(*form(parts), seed=SEED)
    rows = range(other.N)
    return Variant(words, [Take(other, rows, rows)], Judge(other))
