"""The enclosure of one problem, asked by all paths: how far their Jacobians lie from the centre."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck._problem import Problem
from jaccheck._report import ForwardFinding
from jaccheck._rounding import ONE_PASS, Rounding
from jaccheck.enclosure import Ball, Oracle
from jaccheck.enclosure.doubts import doubts
from jaccheck.enclosure.float64 import wrong_operation
from jaccheck.enclosure.jacobian import UNKNOWN, Extent
from jaccheck.enclosure.oracle import Outside
from jaccheck.enclosure.whole import Whole, side_by_side
from jaccheck.judging.own_backward import OwnBackward, not_differentiable, own_backward

WHOLE = 2**18  # elements of a problem's Jacobians that are judged in one go: float64 balls of a few MB
SLICE = 2**18  # elements of the slices otherwise: what a core's cache holds
ROWS = 64  # rows, of those with something outside, that are asked for an excuse: each takes four backward passes


@dataclass(eq=False)
class Comparison:
    """A Jacobian held against the enclosure, element by element."""

    outside: int = 0
    vacuous: int = 0
    worst: tuple[float, str, tuple[int, ...], float, float, float] | None = None  # ratio, parameter, index, got, c, r
    resolutions: dict[str, float] = field(default_factory=dict)
    doubt: str | None = None  # why what is outside is no path's fault


class Judge:
    """What the oracle knows of one problem, or why it knows nothing."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reason: str | None = None  # why there is no enclosure
        self.forward: ForwardFinding | None = None
        self.oracle: Oracle | None = None  # where there is an enclosure
        self._wholes: dict[str, Whole] = {}
        self._inside: dict[Rounding, tuple[Tensor, Comparison]] = {}  # the latest Jacobian of each kind of path
        self._own_backward: dict[tuple[int, int], OwnBackward | None] = {}
        wrong = wrong_operation(problem.device)
        if wrong is not None:
            operation, got, right = wrong
            layer = f"torch's {operation} in float64, on which the oracle rests"
            self.forward = ForwardFinding(layer, (), got, right, 0.0, inf)
            self.reason = f"{layer}, is wrong"
            return
        try:
            oracle = Oracle(problem.model, problem.x, seed=problem.seed)
            if oracle.has_run_the_model:
                problem.before.undone()
            shape = oracle.output.shape
            if shape != problem.output.shape:
                self.reason = f"the model's output has another shape than its graph says, {list(shape)}"
            elif not oracle.output.holds(problem.output):
                self.reason = self._misunderstood(oracle)
            else:
                oracle.jacobians()
                self.oracle = oracle
        except Unsupported as error:
            problem.before.restore()  # what tracing, which runs the model's own forward, may have changed
            self.reason = ", and ".join([str(error), *doubts(problem.model)])

    def _misunderstood(self, oracle: Oracle) -> str:
        """The model's own output is outside: either there is a reason not to trust the oracle, or it is a finding."""
        reasons = doubts(self.problem.model)
        if reasons:
            return f"the model's output isn't that of its layers, perhaps because {', '.join(reasons)}"
        found = oracle.first_outside()
        self.problem.before.restore()
        if found is None:  # call by call all is well: what differs is how the model puts them together
            return "the model's output isn't that of its calls as torch.fx traces them"
        return self._wrong_from(found)

    def wrong_forward(self) -> ForwardFinding | None:
        """What is wrong with the model's own values, those that the output says nothing of included."""
        if self.oracle is not None:
            self._wrong_on_the_way  # noqa: B018
        return self.forward

    @cached_property
    def _wrong_on_the_way(self) -> str | None:
        """Why no path is to blame if a value is wrong that leads to an output of which nothing is known."""
        assert self.oracle is not None
        found = self.oracle.first_outside()
        self.problem.before.restore()
        if found is None:
            return None
        reasons = doubts(self.problem.model)
        if reasons:
            return f"values in the model aren't those of its layers, perhaps because {', '.join(reasons)}"
        return self._wrong_from(found)

    def _wrong_from(self, found: Outside) -> str:
        ratio = abs(found.got - found.centre) / found.radius if found.radius else inf
        self.forward = ForwardFinding(found.layer, found.index, found.got, found.centre, found.radius, ratio)
        return f"the forward pass itself is wrong from {found.layer!r} on"

    def compare(self, jacobian: Mapping[str, Tensor], rounding: Rounding = ONE_PASS) -> Comparison:
        """Hold `jacobian`, ``[N, C, *p.shape]`` for each parameter, against the enclosure of paths that round so.

        There has to be one (`reason` is None).
        """
        assert self.oracle is not None
        if sum(j.numel() for j in jacobian.values()) <= WHOLE:
            with torch.inference_mode():
                found = self._at_once([jacobian[name] for name in self.problem.parameters], rounding)
            if found is not None:
                return found
        comparison = self._sliced(jacobian, rounding)
        if comparison.worst is not None:
            comparison.doubt = self._wrong_on_the_way or self._excused(comparison, jacobian, rounding)
        return comparison

    @cached_property
    def not_differentiable(self) -> str | None:
        """Why no path can have a derivative, if torch raises by itself."""
        return not_differentiable(self.problem)

    def excuse(self, name: str, index: Sequence[int]) -> str | None:
        """Why ``∂f(x)[n, c]/∂p`` isn't what the oracle takes it for in this element, if it is the model's own doing."""
        n, c, *place = index
        own = self._own(n, c)
        return own.reason if own is not None and own.touched[name][tuple(place)] else None

    def _excused(self, comparison: Comparison, jacobian: Mapping[str, Tensor], rounding: Rounding) -> str | None:
        """As `excuse`, of all elements outside: one that has none is the path's fault, and the worst of these is told.

        Of the rows that have something outside at most `ROWS` are asked, the worst one among them.
        """
        assert self.oracle is not None
        assert comparison.worst is not None
        reason = self.excuse(*comparison.worst[1:3])
        if reason is None:
            return None
        N, C = self.problem.N, self.problem.C
        wrong = self.marks(jacobian, rounding)[0].any(1).view(N, C).nonzero().tolist()
        worst, others = list(comparison.worst[2][:2]), Comparison()
        rows = [worst, *[row for row in wrong[:: -(-len(wrong) // (ROWS - 1))] if row != worst]]
        for n, c in rows:
            own = self._own(n, c)
            for name, j in jacobian.items():
                got = j[n : n + 1, c : c + 1]
                ball = self.oracle.against(name, got, slice(n, n + 1), slice(c, c + 1), rounding)
                self._judge_slice(others, name, (n, c), ball, got, None if own is None else own.touched[name])
        if others.worst is None:
            return reason
        comparison.worst, comparison.outside = others.worst, others.outside
        return None

    def _own(self, n: int, c: int) -> OwnBackward | None:
        assert self.oracle is not None
        if (n, c) not in self._own_backward:
            self._own_backward[n, c] = own_backward(self.problem, self.oracle, n, c)
        return self._own_backward[n, c]

    def _at_once(self, values: Sequence[Tensor], rounding: Rounding) -> Comparison | None:
        """What there is to say if all is inside, without a look at each element; None if it isn't."""
        assert self.oracle is not None
        value, fl = side_by_side(values), self.oracle.fl
        if rounding in self._inside and torch.equal(value, self._inside[rounding][0]):  # as most paths' are
            return self._inside[rounding][1]
        whole = self._whole(rounding.mode)
        extents: Sequence[Extent] | None = whole.extents
        if rounding.more:  # mostly all is in the narrower enclosure, too
            extents = whole.extents_after(fl, rounding.more)
        if extents is None or not whole.ball.holds(value):
            if not rounding.more:
                return None
            whole = whole.rounded(fl, rounding.more)
            extents = whole.extents
            if not whole.ball.holds(value):
                return None
        resolutions = {name: e.resolution for name, e in zip(self.problem.parameters, extents, strict=True)}
        found = Comparison(vacuous=whole.vacuous, resolutions=resolutions)
        self._inside[rounding] = value, found
        return found

    def _whole(self, mode: str) -> Whole:
        assert self.oracle is not None
        if mode not in self._wholes:
            recipes = self.oracle.jacobians(mode)
            every = slice(None)
            balls = [recipes[name].rows(self.oracle.fl, every, every) for name in self.problem.parameters]
            self._wholes[mode] = Whole.of(balls)
        return self._wholes[mode]

    def _sliced(self, jacobian: Mapping[str, Tensor], rounding: Rounding) -> Comparison:
        assert self.oracle is not None
        comparison = Comparison()
        with torch.inference_mode():
            for name, j in jacobian.items():
                extents: list[Extent] = []
                extent: Extent | None = None
                for n, c in slices(j.shape):
                    if c.start == 0:  # all outputs of these samples at a glance, or else part by part
                        every = slice(0, j.shape[1])
                        extent = self.oracle.glance(name, j[n], n, every, rounding)
                    if extent is not None:
                        extents.append(extent)
                        continue
                    ball = self.oracle.against(name, j[n, c], n, c, rounding)
                    if not (ball.finite and ball.holds(j[n, c])):
                        self._judge_slice(comparison, name, (n.start, c.start), ball, j[n, c])
                    extents += _extent(ball)
                of_all = Extent.of_all(extents) if extents or not j.numel() else UNKNOWN
                comparison.resolutions[name] = of_all.resolution
        return comparison

    def marks(self, jacobian: Mapping[str, Tensor], rounding: Rounding) -> tuple[Tensor, Tensor]:
        """Which elements lie outside and of which nothing is known, ``[N C, P]`` each, on the CPU."""
        N, C = self.problem.N, self.problem.C
        outside = torch.zeros(
            N, C, sum(math.prod(j.shape[2:]) for j in jacobian.values()), dtype=torch.bool, device="cpu"
        )
        if self.oracle is None:
            return outside.flatten(0, 1), torch.ones_like(outside).flatten(0, 1)
        vacuous = torch.zeros_like(outside)
        start = 0
        for name, j in jacobian.items():
            columns = slice(start, start + math.prod(j.shape[2:]))
            for n, c in slices(j.shape):
                ball = self.oracle.against(name, j[n, c], n, c, rounding)
                outside[n, c, columns] = side_by_side([ball.excludes(j[n, c])]).cpu()
                vacuous[n, c, columns] = side_by_side([~(ball.radius < inf)]).cpu()
            start = columns.stop
        return outside.flatten(0, 1), vacuous.flatten(0, 1)

    @staticmethod
    def _judge_slice(
        comparison: Comparison,
        name: str,
        start: tuple[int, int],
        ball: Ball,
        got: Tensor,
        excused: Tensor | None = None,
    ) -> None:
        comparison.vacuous += int((~(ball.radius < inf)).sum())
        outside = ball.excludes(got)
        if excused is not None:
            outside &= ~excused
        count = int(outside.sum())
        comparison.outside += count
        if not count:
            return
        worst, index = ball.farthest(got, outside)
        if comparison.worst is None or worst > comparison.worst[0]:
            n, c, *rest = index
            where = (n + start[0], c + start[1], *rest)
            numbers = (float(got[index]), float(ball.centre[index]), float(ball.radius[index]))
            comparison.worst = (worst, name, where, *numbers)


def _extent(ball: Ball) -> list[Extent]:
    """That of the elements about which something is known, if there are any."""
    if not ball.centre.numel():
        return []
    size, radius = float(ball.centre.abs().amax()), float(ball.radius.amax())
    if radius < inf and size < inf:
        return [Extent(size, radius)]
    known = (ball.radius < inf) & ball.centre.isfinite()
    size = float(torch.where(known, ball.centre.abs(), 0.0).amax())
    radius = float(torch.where(known, ball.radius, 0.0).amax())
    return [Extent(size, radius)] if known.any() else []


def slices(shape: torch.Size) -> Iterator[tuple[slice, slice]]:
    """Ranges of samples and outputs of about `SLICE` elements of ``[N, C, *p.shape]`` each."""
    N, C, size = shape[0], shape[1], max(math.prod(shape[2:]), 1)
    if not N * C * math.prod(shape[2:]):
        return
    columns = min(C, max(1, SLICE // size))
    rows = max(1, SLICE // (size * C)) if columns == C else 1
    for n in range(0, N, rows):
        for c in range(0, C, columns):
            yield slice(n, min(n + rows, N)), slice(c, min(c + columns, C))
