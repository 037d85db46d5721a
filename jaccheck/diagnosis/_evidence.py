"""What a path gave, element by element, beside what it should have given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

import torch
from torch import Tensor

from jaccheck._problem import Problem
from jaccheck.enclosure import Ball, Oracle
from jaccheck.paths import Path, rounding


@dataclass(frozen=True, eq=False)
class Worst:
    """The element that lies farthest outside, in radii."""

    parameter: str
    index: tuple[int, ...]
    got: float
    centre: float
    radius: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """A Jacobian and its enclosure, ``[N, C, *p.shape]`` for each parameter."""

    got: Mapping[str, Tensor]
    balls: Mapping[str, Ball]
    dtype: torch.dtype
    among: Mapping[str, Tensor]
    """The elements to look at: masks."""

    @classmethod
    def of(
        cls,
        problem: Problem,
        path: Path,
        jacobian: Mapping[str, Tensor],
        samples: Sequence[int] | None = None,
        oracle: Oracle | None = None,
        *,
        exact: bool = False,
    ) -> Evidence:
        """What `path` gave for `problem`, of these samples (None: all), beside what an oracle says.

        That of an `exact` Jacobian allows no path anything; by default it is the problem's own.

        Raises:
            Unsupported: the oracle has no rule for a layer.
        """
        every, how = slice(None), rounding(path)._replace(more=0) if exact else rounding(path)
        if oracle is None:
            try:
                oracle = Oracle(problem.model, problem.x, seed=problem.seed)
            finally:
                problem.before.restore()  # what tracing, which runs the model's own forward, may have changed
        balls, among = {}, {}
        for name, j in jacobian.items():
            balls[name] = oracle.against(name, j, every, every, how)
            among[name] = torch.full_like(j, samples is None, dtype=torch.bool)
            if samples is not None:
                among[name][list(samples)] = True
        return cls({name: j.detach() for name, j in jacobian.items()}, balls, problem.dtype, among)

    @cached_property
    def outside(self) -> dict[str, Tensor]:
        """Where the path is certainly wrong."""
        return {name: self.balls[name].excludes(j) & self.among[name] for name, j in self.got.items()}

    @cached_property
    def known(self) -> int:
        """The number of elements of which something is known."""
        return sum(int(((ball.radius < inf) & self.among[name]).sum()) for name, ball in self.balls.items())

    @cached_property
    def wrong(self) -> list[str]:
        """The parameters of whose Jacobians some element is outside."""
        return [name for name, mask in self.outside.items() if mask.any()]

    def worst(self) -> Worst | None:
        """The element that lies farthest outside; None if none does."""
        worst, most = None, -1.0
        for name in self.wrong:
            ball, got = self.balls[name], self.got[name]
            ratio, index = ball.farthest(got, self.outside[name])
            if ratio > most:
                most = ratio
                worst = Worst(name, index, *(float(t[index]) for t in (got, ball.centre, ball.radius)))
        return worst

    def only(self, masks: Mapping[str, Tensor]) -> Evidence:
        """Of these elements alone."""
        return replace(self, among={name: mask & masks[name] for name, mask in self.among.items()})

    def fits(self, expected: Callable[[Ball], Ball], names: Iterable[str] | None = None) -> bool:
        """Whether all that came out lies in what `expected` makes of the enclosure, which says something of all that is
        outside of the enclosure itself.
        """
        for name in self.got if names is None else names:
            ball = expected(self.balls[name])
            if (ball.excludes(self.got[name]) & self.among[name]).any():
                return False
            if not (ball.radius[self.outside[name]] < inf).all():
                return False
        return True

    def explains(self, expected: Callable[[Ball], Ball], names: Iterable[str] | None = None) -> bool:
        """Whether all `fits`, and that tells: of most of what is outside, what it should be wouldn't fit."""
        names = list(self.got if names is None else names)
        if not self.fits(expected, names):
            return False
        told = [expected(self.balls[n]).excludes(self.balls[n].centre)[self.outside[n]] for n in names]
        return 2 * sum(int(t.sum()) for t in told) > sum(len(t) for t in told)

    @cached_property
    def flat(self) -> tuple[Tensor, Ball]:
        """All elements of which something is known, ``[K]``, in float64."""
        known = {name: (b.radius < inf) & self.among[name] for name, b in self.balls.items()}
        got = torch.cat([j.double()[known[name]] for name, j in self.got.items()])
        parts = [(b.centre[known[name]], b.radius[known[name]]) for name, b in self.balls.items()]
        return got, Ball(torch.cat([c for c, _ in parts]), torch.cat([r for _, r in parts]))


def scaled(ball: Ball, factor: float, dtype: torch.dtype) -> Ball:
    """`factor` times what lies in `ball`, the factor being rounded to `dtype` and the product, at most twice each."""
    centre = ball.centre * factor
    finfo = torch.finfo(dtype)
    radius = ball.radius * abs(factor) + 2 * finfo.eps * centre.abs() + finfo.smallest_normal * finfo.eps
    return Ball(centre, radius)
