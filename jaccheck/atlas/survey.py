"""One activation in one dtype: how far each path's derivative is off, at every argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._capabilities import differentiates
from jaccheck._finding import Failure
from jaccheck._problem import Problem, admit
from jaccheck._values import FORMATS
from jaccheck.atlas.numbers import at_kinks, between, count, places_off, rounded_slope
from jaccheck.defects.known import known
from jaccheck.enclosure.rules import Wire, layer_call
from jaccheck.enclosure.rules._activation import Activation, Elementwise
from jaccheck.judging.form import malformed
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import called
from jaccheck.paths import Path, get, mode, rounding
from jaccheck.properties._activations import as_biases, as_samples

CHUNK = 2**20
"""Arguments in one pass."""
BINS = 2048
"""Points of a curve."""
INACCURATE, ACCURATE = 16.0, 4.0
"""A path is needlessly inaccurate where it is over the one and another path is under the other, in ulps."""
KEPT = 2**16
"""Arguments at which a path is wrong that are kept, to see whether known defects explain them: all of 16 bits."""


@dataclass
class Course:
    """One path's errors, in ulps of the correctly rounded derivative."""

    path: str
    unsupported: str | None = None
    """Why there are none."""
    worst: float = 0.0
    at: float | None = None
    """The argument of the worst."""
    got: float | None = None
    expected: float | None = None
    rounded_wrong: int = 0
    """Arguments at which it isn't the correctly rounded derivative."""
    over: int = 0
    """Those at which it is more than `INACCURATE` off."""
    outside: int = 0
    """Those at which it lies outside the enclosure."""
    needless: int = 0
    """Those at which it is needlessly inaccurate."""
    curve: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64, device="cpu"))
    """The largest error in each of `BINS` equal parts of all arguments in their order."""
    wrong_at: Tensor | None = None
    known: tuple[str, ...] = ()
    """The known defects that explain what is outside."""

    @property
    def status(self) -> str:
        if self.unsupported is not None:
            return "unsupported"
        if self.outside:
            return "known" if self.known else "wrong"
        if self.needless:
            return "needlessly inaccurate"
        return "inaccurate" if self.over else "accurate"

    def data(self) -> dict[str, Any]:
        """For JSON, with null for infinitely many ulps."""
        number = {name: getattr(self, name) for name in ("rounded_wrong", "over", "outside", "needless")}
        values = {name: _finite(getattr(self, name)) for name in ("worst", "at", "got", "expected")}
        rest = {"unsupported": self.unsupported, "known": list(self.known)}
        return {"path": self.path, "status": self.status, **values, **number, **rest}


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < inf else None


@dataclass
class Survey:
    """All paths on one activation in one dtype."""

    layer: nn.Module
    dtype: str
    courses: Mapping[str, Course]
    arguments: int = 0
    interrupted: bool = False
    """There are more arguments."""

    @property
    def name(self) -> str:
        return repr(self.layer)

    def data(self) -> dict[str, Any]:
        courses = [course.data() for course in self.courses.values()]
        rest = {"interrupted": self.interrupted, "paths": courses}
        return {"activation": self.name, "dtype": self.dtype, "arguments": self.arguments, **rest}


def computes(layer: nn.Module, dtype: str) -> bool:
    """Whether this torch has kernels for `layer` in `dtype`, forward and backward."""
    return differentiates(layer, FORMATS[dtype].dtype, "cpu")


def survey(
    layer: nn.Module, dtype: str, paths: Sequence[str], advance: Callable[[int], None] = lambda done: None
) -> Survey:
    """Try `layer` at every finite argument of `dtype`; `advance` is told how many have been done since.

    An interrupt ends it with the arguments that have been tried.

    Raises:
        Unsupported: there is no rule for `layer`.
        KeyboardInterrupt: none has been tried yet.
    """
    form = FORMATS[dtype]
    found = Survey(layer, dtype, {name: Course(name) for name in paths})
    rule = layer_call(layer, (Wire(0),))
    assert isinstance(rule, Elementwise)
    total = count(form)
    for first in range(0, total, CHUNK):
        z = between(form, first, min(first + CHUNK, total))
        bins = torch.arange(first, first + len(z), device="cpu") * BINS // total
        try:
            _try(found, rule.phi, z, bins)
        except KeyboardInterrupt:
            if not found.arguments:
                raise
            found.interrupted = True
            break
        found.arguments += len(z)
        advance(len(z))
    for course in found.courses.values():
        course.known = _explained(layer, course)
    return found


def _try(found: Survey, phi: Activation, z: Tensor, bins: Tensor) -> None:
    form = FORMATS[found.dtype]
    expected, skipped = rounded_slope(phi, z), at_kinks(phi, z)
    problems: dict[str, Problem] = {}
    errors: dict[str, Tensor] = {}
    for name, course in found.courses.items():
        if course.unsupported is None:
            slope = _derivative(get(name), found.layer, z, course, problems)
            if slope is not None:
                error = places_off(form, slope, expected)
                doubtful = (error > 0) | skipped  # the correctly rounded derivative lies in the enclosure
                if doubtful.any():
                    _judge(get(name), found.layer, z[doubtful], slope[doubtful], course)
                errors[name] = torch.where(skipped, 0.0, error)
                _note(course, z, slope, expected, errors[name])
                course.curve.scatter_reduce_(0, bins, errors[name], "amax")
    for name, error in errors.items():
        others = [other for key, other in errors.items() if key != name]
        if others and found.courses[name].over:
            best = torch.stack(others).amin(0)
            found.courses[name].needless += int(((error > INACCURATE) & (best < ACCURATE)).sum())


def _problem(path: Path, layer: nn.Module, z: Tensor) -> Problem:
    return admit(*(as_samples if mode(path) == "forward" else as_biases)(layer, z))


def _derivative(path: Path, layer: nn.Module, z: Tensor, course: Course, problems: dict[str, Problem]) -> Tensor | None:
    """What `path` gives at `z`, in one call; `problems` are those that were made for others."""
    if mode(path) not in problems:
        problems[mode(path)] = _problem(path, layer, z)
    problem = problems[mode(path)]
    run = called(path, problem)
    fault = malformed(problem, run.jacobian) if run.raised is None else None
    if run.raised is not None or fault is not None:
        course.unsupported = run.unsupported or (fault.reason if fault else run.exception)
        return None
    slope: Tensor = run.jacobian["0.bias"].flatten()
    return slope


def _judge(path: Path, layer: nn.Module, z: Tensor, slope: Tensor, course: Course) -> None:
    """Count where the `slope` that `path` has given at `z` lies outside the enclosure."""
    problem = _problem(path, layer, z)
    shape = (problem.N, problem.C, *problem.parameters["0.bias"].shape)
    outside, _ = Judge(problem).marks({"0.bias": slope.view(shape)}, rounding(path))
    if outside.any():
        wrong = z[outside.flatten()]
        course.outside += len(wrong)
        course.wrong_at = (wrong if course.wrong_at is None else torch.cat((course.wrong_at, wrong)))[:KEPT]


def _note(course: Course, z: Tensor, slope: Tensor, expected: Tensor, error: Tensor) -> None:
    course.rounded_wrong += int((error > 0).sum())
    course.over += int((error > INACCURATE).sum())
    place = int(error.argmax())
    if float(error[place]) > course.worst:
        course.worst, course.at = float(error[place]), float(z[place])
        course.got, course.expected = float(slope[place]), float(expected[place])


def _explained(layer: nn.Module, course: Course) -> tuple[str, ...]:
    if course.wrong_at is None or len(course.wrong_at) < course.outside:  # another fault may be among the others
        return ()
    build = as_samples if mode(get(course.path)) == "forward" else as_biases
    failure = Failure(course.path, "enclosure", "value")
    return tuple(defect.id for defect in known(failure, *build(layer, course.wrong_at)))
