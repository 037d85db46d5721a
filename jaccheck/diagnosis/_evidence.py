"""What a path gave, element by element, beside what it should have given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from jaccheck._problem import Problem
from jaccheck.enclosure import Ball, Oracle
from jaccheck.paths import Path, extra_roundings, mode


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
    """A Jacobian and its enclosure, ``[N, C, *p.shape]`` for each parameter; where nothing is known, radius inf."""

    got: Mapping[str, Tensor]
    balls: Mapping[str, Ball]

    @classmethod
    def of(
        cls, problem: Problem, path: Path, jacobian: Mapping[str, Tensor], samples: Sequence[int] | None = None
    ) -> Evidence:
        """What `path` gave for `problem`, of these samples (None: all).

        Raises:
            Unsupported: the oracle has no rule for a layer.
        """
        oracle, every = Oracle(problem.model, problem.x), slice(None)
        balls = {}
        for name, j in jacobian.items():
            ball = oracle.rows(name, every, every, mode=mode(path), extra_roundings=extra_roundings(path))
            radius = ball.radius.clone()
            if mode(path) == "forward" and oracle.tangents_overflow:
                radius[~j.isfinite()] = inf
            if samples is not None:
                others = torch.ones(len(j), dtype=torch.bool, device=j.device)
                others[list(samples)] = False
                radius[others] = inf
            balls[name] = Ball(ball.centre, radius)
        return cls({name: j.detach() for name, j in jacobian.items()}, balls)

    def outside(self) -> dict[str, Tensor]:
        """Where the path is certainly wrong."""
        return {name: self.balls[name].excludes(j) for name, j in self.got.items()}

    def worst(self) -> Worst | None:
        """The first of those elements that lie farthest outside; None if none does."""
        worst, most = None, -1.0
        for name, outside in self.outside().items():
            if not outside.any():
                continue
            ball, got = self.balls[name], self.got[name].double()
            ratio = ((got - ball.centre).abs() / ball.radius).nan_to_num(nan=inf, posinf=inf)
            ratio = torch.where(outside, ratio, -1.0)
            flat = int(ratio.argmax())
            if float(ratio.flatten()[flat]) > most:
                most = float(ratio.flatten()[flat])
                index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat, device="cpu"), got.shape))
                worst = Worst(name, index, *(float(t[index]) for t in (got, ball.centre, ball.radius)))
        return worst
