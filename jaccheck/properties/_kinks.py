"""Where an activation's derivative jumps: there the enclosure allows either side, and torch's convention decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem, admit
from jaccheck._report import Verdict
from jaccheck.enclosure import Ball
from jaccheck.enclosure.probe import arithmetic
from jaccheck.enclosure.rules._activation import Elementwise
from jaccheck.judging.case import Case, Masks
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path, extra_roundings, mode
from jaccheck.properties._activations import Found, as_biases
from jaccheck.properties._once import once
from jaccheck.properties.enclosure import Enclosure, no_jacobian

BIAS = "0.bias"


@dataclass(frozen=True, eq=False)
class Kinked:
    """An activation at its kinks, between layers as `as_biases` puts them around it."""

    words: str
    """What the activation is called."""
    problem: Problem
    slope: Ball
    """Where torch's φ' lies, ``[K]``, at each of K kinks."""

    def judge(self, path: Path) -> Verdict:
        """The verdict on `path`, of which a value may be what it likes but at the kinks."""
        trial = Trial(self.problem, path, self._judge)
        own = Enclosure().judge(trial)
        if own.status in ("unsupported", "vacuous") or no_jacobian(trial, own):
            return own
        ball, got = self._allowed(path), trial.run.jacobian[BIAS]
        outside = ball.excludes(got)
        if not outside.any():
            return own
        ratio, index = ball.farthest(got, outside)
        doubt = trial.judge.excuse(BIAS, index)
        if doubt is not None:
            return replace(own, status="vacuous", kind=None, reason=doubt)
        value, centre, radius = (float(t[index]) for t in (got, ball.centre, ball.radius))
        kink = self.problem.parameters[BIAS][index[2]].item()
        return replace(
            own,
            status="disagrees",
            kind="value",
            parameter=BIAS,
            shape=tuple(self.problem.parameters[BIAS].shape),
            index=index,
            ratio=ratio,
            outside=int(outside.sum()),
            got=value,
            centre=centre,
            radius=radius,
            reason=f"{self.words}, at its kink {kink!r}: torch's own derivative is another one",
        )

    def case(self, path: Path) -> Case:
        def wrong(jacobian: Mapping[str, Tensor]) -> Masks:
            return {name: self._allowed(path).excludes(j) for name, j in jacobian.items()}

        return Case(self.problem, wrong=wrong)

    def _allowed(self, path: Path) -> Ball:
        """``[1, 1, K]``, as φ' is multiplied by the 1 of the output."""
        fl = arithmetic(self.problem.dtype, self.problem.device)
        ball = fl.rounded(fl.rounded(self.slope), extra_roundings(path))
        return ball.moved(lambda t: t[None, None])

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.problem)


class AtKinks:
    """What a law asks of activations at their kinks: of a path that goes forward, nothing."""

    def __init__(self, law: str, make: Callable[[Problem], Iterable[Kinked]]) -> None:
        self.law, self._made = law, once(lambda problem: list(make(problem)))

    def judge(self, trial: Trial, only: Problem | None = None) -> Verdict | None:
        """The first verdict that disagrees, on one problem of the cases alone if it is given; None if none does."""
        for kinked in self._of(trial.problem, trial.path):
            if only is None or only is kinked.problem:
                found = kinked.judge(trial.path)
                if found.status == "disagrees":
                    return replace(found, property=self.law)
        return None

    def cases(self, problem: Problem, path: Path) -> Iterator[Case]:
        return (kinked.case(path) for kinked in self._of(problem, path))

    def _of(self, problem: Problem, path: Path) -> list[Kinked]:
        return [] if mode(path) == "forward" else self._made(problem)


def at_kinks(activations: Mapping[str, Found], like: Tensor) -> Iterator[Kinked]:
    """For each activation the kinks that are numbers of the dtype, and at which all of torch's kernels agree."""
    for words, found in activations.items():
        every = torch.tensor([kink[0] for kink in found.phi.kinks], dtype=torch.float64, device=like.device)
        kinks = every.to(like.dtype)
        try:
            kinks = kinks[(kinks.double() == every) & _settled(found.make(), kinks)]
            if not len(kinks):
                continue
            problem = admit(*as_biases(found.make(), kinks))
        except InvalidProblem:
            continue
        alone = Elementwise(replace(found.phi, kinks=()))
        alone.forward(arithmetic(like.dtype, like.device), Ball.exact(kinks))
        yield Kinked(words, problem, alone.psi)


def _settled(activation: nn.Module, z: Tensor) -> Tensor:
    """Where the derivative is the same in all places of a tensor, long or short; Hardswish's isn't in torch 2.2."""

    def slopes(rows: int) -> Tensor:
        many = z.expand(rows, -1).clone().requires_grad_()
        (found,) = torch.autograd.grad(activation(many.clone()).sum(), many)
        return found

    with torch.inference_mode(False), torch.enable_grad():
        every = torch.cat((slopes(37), slopes(1)))  # the first is no multiple of a vector's length
    return (every == every[0]).all(0)
