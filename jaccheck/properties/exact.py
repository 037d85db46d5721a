"""On an exact network the Jacobian is the exact one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck.enclosure import Oracle
from jaccheck.enclosure.ball import unravelled
from jaccheck.judging.case import Case, Masks
from jaccheck.judging.judge import slices
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path, exactly, mode
from jaccheck.properties._exactly import Exactly, Rounds
from jaccheck.properties.enclosure import Enclosure, begun, no_jacobian


class Exact:
    """Where no number on the way has to be rounded, in whatever order, a path gives the exact Jacobian bit for bit.

    The sign of a zero is free. At a kink it is torch's own derivative, as ReLU'(0) = 0, of which the enclosure knows
    only that it lies between those on either side. Whether a problem is exact is computed; most are not. A path that
    rounds by itself is judged with the options by which it doesn't, if it has such.
    """

    name = "exact"
    cheap = True

    def __init__(self) -> None:
        self._oracles: WeakKeyDictionary[Problem, Oracle | str] = WeakKeyDictionary()

    def judge(self, trial: Trial) -> Verdict:
        path, problem = trial.path, trial.problem
        own = Enclosure().judge(trial)
        if no_jacobian(trial, own):
            return begun(own, self.name)
        one = exactly(path, problem.N, problem.C)
        if (
            one is not None
            and one is not path
            and mode(path) != "forward"
            and not isinstance(self.oracle(problem), str)
        ):
            trial = Trial(problem, one, trial.judge)
            own = replace(Enclosure().judge(trial), path=path.name, property=self.name)
            if no_jacobian(trial, own):
                return replace(own, reason=f"as {one.name}: {own.reason}")

        def verdict(status: str, kind: str | None = None, **facts: Any) -> Verdict:
            return Verdict(path.name, status, kind, self.name, elements=own.elements, seconds=own.seconds, **facts)

        if mode(path) == "forward":
            return verdict("vacuous", reason="it goes forward, where other products are rounded")
        if one is None:
            return verdict("vacuous", reason=f"it rounds by itself for an output [{problem.N}, {problem.C}]")
        oracle = trial.judge.reason or self.oracle(problem)
        if isinstance(oracle, str):
            return verdict("vacuous", reason=oracle)
        try:
            outside, first = _differing(oracle, trial.run.jacobian)
        except Rounds as error:
            return verdict("vacuous", reason=_inexact(error))
        if first is None:
            resolutions = dict.fromkeys(problem.parameters, 0.0)
            return verdict("agrees", resolution=0.0 if own.elements else None, resolutions=resolutions)
        name, index, got, centre = first
        doubt = trial.judge.excuse(name, index)
        if doubt is not None:
            return verdict("vacuous", reason=doubt)
        shape = tuple(problem.parameters[name].shape)
        place = {"parameter": name, "shape": shape, "index": index, "got": got, "centre": centre, "radius": 0.0}
        reason = "the network is exact, and so is the Jacobian"
        if one is not path:
            reason = f"as {one.name}: {reason}"
        return verdict("disagrees", "value", outside=outside, ratio=torch.inf, reason=reason, **place)

    def cases(self, problem: Problem, path: Path) -> Iterator[Case]:
        oracle = self.oracle(problem)
        if not isinstance(oracle, str):
            yield Case(problem, wrong=partial(_wrong, oracle), path=exactly(path, problem.N, problem.C))

    def oracle(self, problem: Problem) -> Oracle | str:
        """The exact Jacobian of `problem`, or why there is none."""
        if problem not in self._oracles:
            self._oracles[problem] = _oracle(problem)
        return self._oracles[problem]


def _oracle(problem: Problem) -> Oracle | str:
    # what is scaled by 1/√(N C), or half or twice that, on its way
    margin = (problem.N * problem.C).bit_length() // 2 + 1
    try:
        oracle = Oracle(problem.model, problem.x, Exactly.of(problem.x, margin), seed=problem.seed)
        if not torch.equal(oracle.output.centre, problem.output.double()):
            return "the model's own output is rounded"
        oracle.jacobians()
    except Unsupported as error:
        return str(error)
    except Rounds as error:
        return _inexact(error)
    finally:
        problem.before.restore()  # what tracing, which runs the model's own forward, may have changed
    return oracle


def _inexact(error: Rounds) -> str:
    return f"the network isn't exact: {error}"


def _wrong(oracle: Oracle, jacobian: Mapping[str, Tensor]) -> Masks:
    every = slice(None)
    return {name: oracle.rows(name, every, every).centre != j.double() for name, j in jacobian.items()}


First = tuple[str, tuple[int, ...], float, float]


def _differing(oracle: Oracle, jacobian: Mapping[str, Tensor]) -> tuple[int, First | None]:
    """How many entries differ from the exact ones, and the first: its parameter, index and values."""
    outside, first = 0, None
    for name, j in jacobian.items():
        for n, c in slices(j.shape):
            expected, got = oracle.rows(name, n, c).centre, j[n, c].double()
            differs = got != expected
            if count := int(differs.sum()):
                if first is None:
                    a, b, *rest = unravelled(int(differs.flatten().int().argmax()), got.shape)
                    where = (a, b, *rest)
                    first = name, (a + n.start, b + c.start, *rest), float(got[where]), float(expected[where])
                outside += count
    return outside, first
