"""An activation's derivative is right at every argument of a 16-bit dtype, and at as many of a wider one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._problem import Problem, admit
from jaccheck._report import Verdict
from jaccheck.enclosure import Oracle
from jaccheck.enclosure.graph import Call
from jaccheck.enclosure.rules._activation import Elementwise
from jaccheck.paths import Path, mode
from jaccheck.properties._case import Case
from jaccheck.properties._chance import chance
from jaccheck.properties._copies import copied
from jaccheck.properties._judge import Judge
from jaccheck.properties._kinks import at_kinks
from jaccheck.properties._trial import Trial
from jaccheck.properties._variants import Take, Variant, Varied
from jaccheck.properties.exact import Exact

ARGUMENTS = 2**16
UNITS = (7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
"""Of layers: kernels change at a vector's length, and at multiples of it."""
HALF = (torch.float16, torch.bfloat16)


class EveryInput:
    """Each activation of the model has the right derivative at all 65,536 arguments, NaNs and infinities among them.

    Of float32 and float64, which have too many, 65,536 are taken: one next to each number of float16 or bfloat16, other
    ones for another problem. At its kinks, where the enclosure allows either side, the derivative is torch's own, bit
    for bit.

    It stands also between layers of all numbers of `UNITS`, with ordinary arguments.

    It stands behind a `Linear` whose bias has it as its Jacobian: 65,536 biases and one sample, where a path goes back
    from the output, so that one pass takes all. Where it goes forward, one bias and all finite numbers as samples: what
    a `Linear` makes of an infinite sample isn't the activation's doing.
    """

    name = "every_input"

    def __init__(self) -> None:
        self._exact = Exact()
        self._kinked: WeakKeyDictionary[Problem, list[tuple[str, Problem]]] = WeakKeyDictionary()
        self._by_mode = {"reverse": _Arguments(self.name, as_biases), "forward": _Arguments(self.name, as_samples)}

    def judge(self, trial: Trial) -> Verdict:
        verdict = self._by_mode[mode(trial.path)].judge(trial)
        if verdict.status in ("disagrees", "unsupported") or mode(trial.path) == "forward":
            return verdict
        for words, alone in self._at_kinks(trial.problem):
            found = self._exact.judge(Trial(alone, trial.path, Judge(alone)))
            if found.status == "disagrees":
                return replace(found, property=self.name, reason=f"{words} at its kinks: {found.reason}")
        return verdict

    def cases(self, problem: Problem, path: Path) -> Iterator[Case]:
        yield from self._by_mode[mode(path)].cases(problem, path)
        if mode(path) != "forward":
            for _, alone in self._at_kinks(problem):
                yield from self._exact.cases(alone, path)

    def _at_kinks(self, problem: Problem) -> list[tuple[str, Problem]]:
        if problem not in self._kinked:
            try:
                rules = [(call, rule) for call, rule in Oracle(problem.model, problem.x).rules]
            except Unsupported:
                rules = []
            kinked = {
                _said(call): (partial(_module, call), tuple(kink[0] for kink in rule.phi.kinks))
                for call, rule in rules
                if isinstance(rule, Elementwise)
            }
            self._kinked[problem] = list(at_kinks(kinked, problem.x))
        return self._kinked[problem]


class _Arguments(Varied):
    itself = False
    nothing = "there is no activation"

    def __init__(self, name: str, build: Callable[[nn.Module, Tensor], tuple[nn.Module, Tensor]]) -> None:
        super().__init__()
        self.name, self.build = name, build

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        try:
            every = activations(problem)
        except Unsupported as error:
            yield partial(_refused, str(error))
        else:
            for words, make in every.items():
                yield partial(self._variant, words, make, problem)
                yield partial(self._between_layers, words, make, problem)

    def _variant(self, words: str, make: Callable[[], nn.Module], problem: Problem) -> Variant:
        every = arguments(problem.x) if problem.dtype in HALF else neighbours(problem)
        problem = admit(*self.build(_copy(words, make), every))
        rows = range(problem.N)
        return Variant(words, [Take(problem, rows, rows)], Judge(problem), partial(_at, problem))

    def _between_layers(self, words: str, make: Callable[[], nn.Module], problem: Problem) -> Variant:
        layers = admit(*between_layers(partial(_copy, words, make), problem))
        return Variant(f"{words} in layers of {UNITS[0]} to {UNITS[-1]} units", [Take(layers, [0], [0])], Judge(layers))


def _copy(words: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except Exception as error:  # the user's own classes
        raise InvalidProblem(f"{words} can't be copied: {error}") from error


def _refused(reason: str) -> Variant:
    raise InvalidProblem(reason)


def _at(problem: Problem, index: tuple[int, ...]) -> str:
    n, _, i = index
    argument = problem.x[n, 0] if problem.N > 1 else problem.parameters["0.bias"][i]
    return f"at {argument.item()!r}"


def arguments(like: Tensor) -> Tensor:
    """All numbers of a 16-bit dtype, in the order of their bits."""
    bits = torch.arange(-ARGUMENTS // 2, ARGUMENTS // 2, dtype=torch.int32, device=like.device)
    return bits.to(torch.int16).view(like.dtype)


def neighbours(problem: Problem) -> Tensor:
    """For each 16-bit number one of a wider dtype between it and the next, now and then the number itself."""
    numbers = chance(problem)
    grid = arguments(problem.x.new_empty(0, dtype=numbers.choice((torch.float16, torch.float16, torch.bfloat16))))
    wide = grid.to(problem.dtype)
    generator = torch.Generator(problem.device).manual_seed(numbers.getrandbits(32))
    part = torch.rand(ARGUMENTS, dtype=problem.dtype, device=problem.device, generator=generator)
    gap = grid.abs().float().mul(torch.finfo(grid.dtype).eps).to(problem.dtype)
    return torch.where(part < 0.25, wide, wide + part * gap)


def activations(problem: Problem) -> dict[str, Callable[[], nn.Module]]:
    """How to make each of the model's activations as a module, by what it is called; each kind once."""
    rules = Oracle(problem.model, problem.x, seed=problem.seed).rules
    return {_said(call): partial(_module, call) for call, rule in rules if isinstance(rule, Elementwise)}


def _said(call: Call) -> str:
    if call.layer is not None:
        return repr(call.layer)
    settings = [repr(argument) for argument in call.args[1:]]
    settings += [f"{name}={value!r}" for name, value in call.kwargs.items()]
    return f"{call.name}({', '.join(settings)})"


def _module(call: Call) -> nn.Module:
    return _Function(call) if call.layer is None else copied(call.layer)


class _Function(nn.Module):
    """An activation that isn't a layer."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.call.on([x] * (1 + max(wire.index for wire in self.call.wires)))
        return result


def as_biases(activation: nn.Module, every: Tensor) -> tuple[nn.Module, Tensor]:
    """``f(0) = Σ φ(b)``, so that ``∂f/∂b = φ'(b)``."""
    first = _linear(torch.zeros_like(every)[:, None], every)
    last = _linear(torch.ones_like(every)[None], None)
    return nn.Sequential(first, activation, last), torch.zeros_like(every[:1, None])


def as_samples(activation: nn.Module, every: Tensor) -> tuple[nn.Module, Tensor]:
    """``f(x) = φ(x + b)`` for ``b = 0``, so that ``∂f/∂b = φ'(x)``."""
    every = every[every.isfinite()]
    one = torch.ones_like(every[:1])
    return nn.Sequential(_linear(one[None], 0 * one), activation), every[:, None]


def between_layers(activation: Callable[[], nn.Module], like: Problem) -> tuple[nn.Module, Tensor]:
    """One sample through layers of `UNITS`, with numbers of ordinary size, other ones for another problem."""
    generator = torch.Generator("cpu").manual_seed(chance(like).getrandbits(32))

    def numbers(*shape: int) -> Tensor:
        uniform = torch.rand(*shape, dtype=torch.float64, device="cpu", generator=generator)
        return (2 * uniform - 1).to(like.device, like.dtype)

    layers: list[nn.Module] = []
    for inputs, units in pairwise((1, *UNITS)):
        layers += [_linear(numbers(units, inputs) * inputs**-0.5, numbers(units)), activation()]
    return nn.Sequential(*layers, _linear(numbers(1, UNITS[-1]), None)), numbers(1, 1)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer
