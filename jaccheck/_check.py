"""Jacobians and balls in, verdicts out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from jaccheck._errors import Disagreement, InvalidProblem
from jaccheck._picture import MOST_ENTRIES, picture
from jaccheck._problem import Problem, admit
from jaccheck._report import Image, ProblemFacts, Report, Verdict
from jaccheck.judging.form import malformed
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Run, Trial
from jaccheck.paths import get, resolve
from jaccheck.properties import DEFAULT
from jaccheck.properties import get as law
from jaccheck.properties.enclosure import largest_difference


def check(
    model: nn.Module,
    x: Tensor,
    *,
    paths: str | Sequence[str] | None = None,
    properties: Sequence[str] | None = None,
    repeat: bool = False,
    seed: int | None = None,
    images: bool | None = None,
) -> Report:
    """Compute the batched Jacobian of `model` at `x` by each path, and judge each by the proven enclosure.

    Args:
        model: maps ``[N, *features]`` to f(x), ``[N, C]``; it is left as it was.
        x: ``[N, *features]``, in the dtype and on the device of the parameters.
        paths: names of paths; None means the three of the example, ``"all"`` every one.
        properties: names of `jaccheck.properties.PROPERTIES`; None means that the Jacobian lies in the enclosure and
            that nothing of the user's has changed.
        repeat: call each path twice and compare the two results as well.
        seed: lets layers of chance in, such as Dropout in training mode: each path and the oracle begin with torch's
            random numbers at this seed, so that all draw the same. Afterwards they go on as if nothing had been.
        images: keep pictures of the Jacobians for `Report.plot`; None: where they are small.

    Returns:
        A report with one verdict per path. A path that is wrong, or raises, is a verdict and never an exception.

    Raises:
        InvalidProblem: the model or the input can't be used, or a path or property is unknown.
    """
    return judged(model, x, paths=paths, properties=properties, repeat=repeat, seed=seed, images=images).report


WhenWrong = Callable[[Trial, Verdict], Verdict | None]
"""What is called with a verdict that disagrees, while the path's run is at hand; it may give another for it."""


@dataclass(frozen=True)
class Judged:
    """A check's report, in which each verdict tells of the first property that a path doesn't keep, and all others."""

    report: Report
    verdicts: Mapping[str, Mapping[str, Verdict]]
    """By property and path."""

    def alone(self, law: str) -> Report:
        """As if that property alone had been asked."""
        return replace(self.report, verdicts=self.verdicts[law])


def judged(
    model: nn.Module,
    x: Tensor,
    *,
    paths: str | Sequence[str] | None = None,
    properties: Sequence[str] | None = None,
    repeat: bool = False,
    seed: int | None = None,
    images: bool | None = None,
    words: bool = True,
    when_wrong: WhenWrong | None = None,
) -> Judged:
    """As `check`, with what each property says; without `words` for what an error looks like, which take their time."""
    names = resolve(paths)
    chosen = {name: get(name) for name in names}  # before the snapshot: importing a path may change global state
    laws = _laws(properties, repeat)
    problem = admit(model, x, seed=seed)
    try:
        judge = Judge(problem)
        verdicts: dict[str, Verdict] = {}
        by_law: dict[str, dict[str, Verdict]] = {name: {} for name in laws}
        pictures: dict[str, Callable[[], Image]] = {}
        others: dict[str, Mapping[str, Tensor]] = {}
        wrong: Wrong = []
        for name in names:
            trial = Trial(problem, chosen[name], judge)
            found = [law(asked).judge(trial) for asked in laws]
            if when_wrong is not None:  # what it asks of the path comes behind the properties
                found = [(one.status == "disagrees" and when_wrong(trial, one)) or one for one in found]
            if words:  # it calls the path, too
                found = [_diagnosed(trial, one, wrong) if one.status == "disagrees" else one for one in found]
            for asked, one in zip(laws, found, strict=True):
                by_law[asked][name] = one
            verdicts[name] = _shown(found)
            whole = _whole(problem, trial.run)
            few = problem.elements <= MOST_ENTRIES
            if whole is not None:
                _tell_apart(verdicts, name, whole, others)
                if few or (judge.reason is not None and not others):  # of large ones the first is enough to hold
                    others[name] = whole
            if whole is not None and (images or (images is None and few)):
                pictures[name] = picture(whole, judge, trial.path, now=bool(images))
            del trial, whole  # the next path may need the memory
    except BaseException:  # an interrupt, say, in the middle of a path
        problem.before.restore()
        raise
    by = "" if properties is None else f", properties={tuple(properties)!r}"
    twice = ", repeat=True" if repeat else ""
    begin = "" if problem.seed is None else f", seed={problem.seed}"
    again = f"jaccheck.check(model, x, paths={names!r}{by}{twice}{begin})"
    return Judged(Report(verdicts, facts(problem), judge.forward, again, _Pictures(pictures)), by_law)


def assert_agreement(
    model: nn.Module,
    x: Tensor,
    *,
    paths: str | Sequence[str] | None = None,
    properties: Sequence[str] | None = None,
    repeat: bool = False,
    seed: int | None = None,
) -> None:
    """Raise unless each path's Jacobian lies in the enclosure and leaves no trace; see `check`.

    Raises:
        Disagreement: some path doesn't, or the forward pass is wrong; the message is the report, which the exception
            also holds as its `report`.
        InvalidProblem: the model or the input can't be used, or a path or property is unknown.
    """
    __tracebackhide__ = True
    report = check(model, x, paths=paths, properties=properties, repeat=repeat, seed=seed, images=False)
    if not report.ok:
        error = Disagreement(str(report))
        error.report = report
        raise error


def compare_tensor_lists(list1: Sequence[Tensor], list2: Sequence[Tensor]) -> None:
    """Compare two lists of tensors, as the example does: by shape, and by value to the rounding of their dtype.

    Values may differ by `torch.testing.assert_close`'s defaults for the dtype; for a proven bound there is `check`.

    Raises:
        ValueError: the lists differ in length, or two tensors in size or value, or something isn't a list of tensors;
            the message says which and where.
    """
    for number, given in enumerate((list1, list2), 1):
        if isinstance(given, Tensor) or not isinstance(given, Sequence):
            raise ValueError(f"list{number} is a {type(given).__name__}, but should be a list of tensors")
        for i, tensor in enumerate(given):
            if not isinstance(tensor, Tensor):
                raise ValueError(f"list{number} has a {type(tensor).__name__} at index {i}, but should have a tensor")
    if len(list1) != len(list2):
        raise ValueError(f"the lists have different lengths, {len(list1)} and {len(list2)}")
    for i, (a, b) in enumerate(zip(list1, list2, strict=True)):
        if a.shape != b.shape:
            raise ValueError(f"the tensors at index {i} have different sizes, {list(a.shape)} and {list(b.shape)}")
        try:
            torch.testing.assert_close(a, b, equal_nan=True)
        except AssertionError as error:
            raise ValueError(f"the tensors at index {i} have different values: {error}") from error


def _laws(properties: Sequence[str] | None, repeat: bool) -> tuple[str, ...]:
    names = DEFAULT if properties is None else tuple(dict.fromkeys(properties))
    for name in names:
        law(name)
    if not names:
        raise InvalidProblem("no property is named; leave `properties` out for the default ones")
    return (*names, "determinism") if repeat and "determinism" not in names else names


def _shown(verdicts: Sequence[Verdict]) -> Verdict:
    """That which the report shows, with what the enclosure, if it was asked, knows of the elements besides."""
    first = _first_wrong(verdicts)
    own = next((verdict for verdict in verdicts if verdict.property == "enclosure"), None)
    if own is None:
        return first
    if first.resolution is None:
        first = replace(first, resolution=own.resolution, resolutions=own.resolutions)
    if not first.vacuous and first.elements in (0, own.elements):
        first = replace(first, elements=own.elements, vacuous=own.vacuous)
    return first


def _first_wrong(verdicts: Sequence[Verdict]) -> Verdict:
    """The first property's that isn't kept, else the first's; what others have to add stands in its reason."""
    wrong = [verdict for verdict in verdicts if verdict.status == "disagrees"]
    if not wrong:
        return verdicts[0]
    first = wrong[0]
    others = [verdict for verdict in wrong if verdict.property != first.property]  # some begin with the enclosure
    if not others:
        return first
    besides = [f"besides, {_law(other)}: {other.reason or 'wrong values'}" for other in others]
    return replace(first, reason="\n".join([*([first.reason] if first.reason else []), *besides]))


Wrong = list[tuple[Verdict, Mapping[str, Tensor]]]
"""Of earlier paths whose values were wrong: verdict and Jacobian."""


def _diagnosed(trial: Trial, verdict: Verdict, wrong: Wrong) -> Verdict:
    """In words what the error looks like: those for an earlier path that is wrong to the last bit in the same way."""
    whole = None
    if verdict.kind == "value" and trial.problem.elements <= MOST_ENTRIES:
        whole = _whole(trial.problem, trial.run)  # None: it is wrong on another problem than its own
    for other, jacobian in () if whole is None else wrong:
        same = replace(verdict, path=other.path, seconds=other.seconds)
        if same == replace(other, looks_like=None, error_shape=None) and _equal(jacobian, whole):
            return replace(verdict, looks_like=other.looks_like, error_shape=other.error_shape)
    from jaccheck.diagnosis import diagnosed  # seldom needed

    verdict = diagnosed(trial, verdict)
    if whole is not None:
        wrong.append((verdict, whole))
    return verdict


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor] | None) -> bool:
    return other is not None and all(torch.equal(j, other[name]) for name, j in one.items())


def _tell_apart(
    verdicts: dict[str, Verdict], name: str, whole: Mapping[str, Tensor], others: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Note how far a path and each other one are apart, if nothing is known of one of them: there is nothing else."""
    for other, jacobian in others.items():
        if "vacuous" in (verdicts[name].status, verdicts[other].status):
            apart = largest_difference(jacobian, whole)
            for path in (name, other):
                verdicts[path] = replace(verdicts[path], difference=max(apart, verdicts[path].difference or 0.0))


def _law(verdict: Verdict) -> str:
    kind = str(verdict.kind)
    return kind if verdict.property in ("enclosure", kind) else f"{verdict.property} ({kind})"


def _whole(problem: Problem, run: Run) -> Mapping[str, Tensor] | None:
    """The run's Jacobian, if it is one."""
    whole: Mapping[str, Tensor] | None = None if malformed(problem, run.jacobian) else run.jacobian
    return whole


def facts(problem: Problem) -> ProblemFacts:
    """Of the problem, in plain words and numbers."""
    return ProblemFacts(
        N=problem.N,
        C=problem.C,
        parameters={name: tuple(p.shape) for name, p in problem.parameters.items()},
        dtype=str(problem.dtype).removeprefix("torch."),
        device=str(problem.device),
        versions=versions(),
    )


@lru_cache(maxsize=1)
def versions() -> Mapping[str, str]:
    """Of what a result depends on; a package that isn't there has no entry."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name, package in (("backpack", "backpack-for-pytorch"), ("jaccheck", "jaccheck")):
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


class _Pictures(Mapping[str, Image]):
    """Pictures that are drawn when somebody looks."""

    def __init__(self, drawers: Mapping[str, Callable[[], Image]]) -> None:
        self._drawers = dict(drawers)
        self._drawn: dict[str, Image] = {}

    def __getitem__(self, path: str) -> Image:
        if path not in self._drawn:
            self._drawn[path] = self._drawers[path]()
        return self._drawn[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawers)

    def __len__(self) -> int:
        return len(self._drawers)

    def __reduce__(self) -> tuple[type, tuple[dict[str, Image]]]:
        return dict, (dict(self),)
