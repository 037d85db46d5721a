"""An activation's derivative is right at every argument of a 16-bit dtype, and at as many of a wider one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck._problem import Problem, admit
from jaccheck._report import Verdict
from jaccheck.judging.case import Case
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path, mode
from jaccheck.properties._activations import Found, activations, as_biases, as_samples, with_other_settings
from jaccheck.properties._chance import chance
from jaccheck.properties._kinks import AtKinks, Kinked, at_kinks
from jaccheck.properties._once import once
from jaccheck.properties._variants import Take, Variant, Varied

ARGUMENTS = 2**16
HALF = (torch.float16, torch.bfloat16)


class EveryInput:
    """Each activation of the model has the right derivative at all 65,536 arguments, NaNs and infinities among them.

    So has the same one with other settings, if it has any: another slope, say, which the problem decides. Of float32
    and float64, which have too many arguments, 65,536 are taken, next to numbers of float16 and all over the dtype's
    range, other ones for another problem. At its kinks, where the enclosure allows either side, the derivative is
    torch's own.

    It stands behind a `Linear` whose bias has it as its Jacobian: 65,536 biases and one sample, where a path goes back
    from the output, so that one pass takes all. Where it goes forward, one bias and all finite numbers as samples: what
    a `Linear` makes of an infinite sample isn't the activation's doing.
    """

    name = "every_input"
    cheap = False

    def __init__(self) -> None:
        self._at_kinks = AtKinks(self.name, _kinked)
        self._by_mode = {"reverse": _Arguments(self.name, as_biases), "forward": _Arguments(self.name, as_samples)}

    def judge(self, trial: Trial) -> Verdict:
        arguments = self._by_mode[mode(trial.path)]
        verdict = arguments.judge(trial)
        if verdict.status in ("disagrees", "unsupported") or arguments.misvalued(trial.problem) is not None:
            return verdict
        return self._at_kinks.judge(trial) or verdict

    def cases(self, problem: Problem, path: Path) -> Iterator[Case]:
        yield from self._by_mode[mode(path)].cases(problem, path)
        yield from self._at_kinks.cases(problem, path)

    def misvalued(self, problem: Problem) -> Problem | None:
        return next(filter(None, (one.misvalued(problem) for one in self._by_mode.values())), None)

    def of(self, trial: Trial, problem: Problem) -> Verdict | None:
        return self._by_mode[mode(trial.path)].of(trial, problem) or self._at_kinks.judge(trial, problem)


@once
def _asked(problem: Problem) -> dict[str, Found]:
    return activations(problem) | with_other_settings(problem)


def _kinked(problem: Problem) -> list[Kinked]:
    try:
        return list(at_kinks(_asked(problem), problem.x))
    except Unsupported:
        return []


class _Arguments(Varied):
    itself = False
    nothing = "there is no activation"

    def __init__(self, name: str, build: Callable[[nn.Module, Tensor], tuple[nn.Module, Tensor]]) -> None:
        super().__init__()
        self.name, self.build = name, build

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        for words, found in _asked(problem).items():
            yield partial(self._variant, words, found.make, problem)

    def _variant(self, words: str, make: Callable[[], nn.Module], problem: Problem) -> Variant:
        every = arguments(problem.x) if problem.dtype in HALF else neighbours(problem)
        problem = admit(*self.build(make(), every))
        rows, judge = range(problem.N), Judge(problem)
        judge.wrong_forward()  # at each argument: the sum, in which there are NaNs, says nothing
        return Variant(words, [Take(problem, rows, rows)], judge, partial(_at, problem))


def _at(problem: Problem, index: tuple[int, ...]) -> str:
    n, *_, i = index
    argument = problem.x[n, 0] if problem.N > 1 else problem.parameters["0.bias"][i]
    return f"at {argument.item()!r}"


def arguments(like: Tensor) -> Tensor:
    """All numbers of a 16-bit dtype, in the order of their bits."""
    bits = torch.arange(-ARGUMENTS // 2, ARGUMENTS // 2, dtype=torch.int32, device=like.device)
    return bits.to(torch.int16).view(like.dtype)


def neighbours(problem: Problem) -> Tensor:
    """As many numbers of a wider dtype, now and then with a short significand.

    Half of them lie between every second number of float16 and the next, half have any exponent: up to where the dtype
    itself overflows, and down to its subnormals.
    """
    numbers, many = chance(problem), ARGUMENTS // 2
    generator = torch.Generator(problem.device).manual_seed(numbers.getrandbits(32))
    grid = arguments(problem.x.new_empty(0, dtype=torch.float16))[numbers.randrange(2) :: 2]
    wide = grid.to(problem.dtype)
    part = torch.rand(many, dtype=problem.dtype, device=problem.device, generator=generator)
    gap = grid.abs().float().mul(2 * torch.finfo(grid.dtype).eps).to(problem.dtype)
    near = torch.where(part < 0.25, wide, wide + part * gap)
    shape = (many, problem.x.element_size() // 2)
    bits = torch.randint(-many, many, shape, dtype=torch.int16, device=problem.device, generator=generator)
    bits[::4, :-1] = 0  # all but the first 16
    return torch.cat((near, bits.view(problem.dtype).flatten()))
