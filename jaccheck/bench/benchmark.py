"""Each path checked, weighed and timed beside the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from jaccheck._check import check, facts
from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._problem import Problem, admit
from jaccheck._report import ForwardFinding, Verdict
from jaccheck._text import headline
from jaccheck._threads import one_thread
from jaccheck.bench.costs import Benchmark, Cost, Fastest
from jaccheck.bench.measure import Measured, measured
from jaccheck.bench.memory import bounded, ran_out
from jaccheck.bench.timing import CONFIDENCE, FEWEST, Interval, interval
from jaccheck.paths import get, resolve


def benchmark(
    model: nn.Module, x: Tensor, *, paths: str | Sequence[str] | None = None, seconds: float = 3.0
) -> Benchmark:
    """Measure what each path costs on `model` at `x`: seconds and peak bytes.

    Each path is checked first, as by `check`. Then the paths are timed in turn, in rounds of shuffled order, with calls
    to warm up before each timed one: noise hits all alike, so that the ratios of one round are better than those of the
    medians. On a CPU the time is that of one thread, as which torch is run; what a path does in threads of its own is
    not counted.

    Args:
        model: maps ``[N, *features]`` to f(x), ``[N, C]``; it is left as it was.
        x: ``[N, *features]``, in the dtype and on the device of the parameters.
        paths: names of paths; None means the three of the example, ``"all"`` every one.
        seconds: how long to time, all paths together; six rounds are run in any case.

    Returns:
        One row per path. A path that is wrong is marked and never named the fastest; one that raises, runs out of
        memory, or can't do the model says so in its row, and the others stand.

    Raises:
        InvalidProblem: the model or the input can't be used, a path is unknown, or `seconds` isn't a positive number.
    """
    return run(model, x, paths=paths, seconds=seconds)[0]


def run(
    model: nn.Module,
    x: Tensor,
    *,
    paths: str | Sequence[str] | None,
    seconds: float,
    least: int = FEWEST,
    checked: bool = True,
) -> tuple[Benchmark, Measured]:
    """The benchmark, and what it was made of.

    Args:
        least: rounds that are run in any case, see `measured`.
        checked: whether to check each path; one that is not checked is never named the fastest.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InvalidProblem(f"seconds is {seconds}, but should be a positive number")
    names = resolve(paths)
    chosen = {name: get(name) for name in names}  # before the snapshot: importing a path may change global state
    with one_thread(), bounded(x.device if isinstance(x, Tensor) else torch.device("cpu")):
        problem = admit(model, x, seedable=False)
        size = problem.elements * problem.x.element_size()
        costs, forward = _checked(problem, names) if checked else ({n: Cost(n, "unchecked") for n in names}, None)
        calls = {name: _call(chosen[name].jacobian, problem) for name in names if _measurable(costs[name])}
        try:
            seen = measured(
                calls, size=size, device=problem.device, restore=problem.before.restore, seconds=seconds, least=least
            )
        except BaseException:  # an interrupt, say, in the middle of a path
            problem.before.restore()
            raise
    base = next(iter(seen.seconds), None)
    for name, error in seen.raised.items():
        costs[name] = _failed(costs[name], error)
    for name, values in seen.seconds.items():
        assert base is not None
        weight = seen.peaks[name]
        costs[name] = replace(
            costs[name],
            seconds=interval(values),
            ratio=_ratio(values, seen.seconds[base]),
            peak_bytes=weight.torch + weight.python,
            python_bytes=weight.python,
        )
    correct = {name: values for name, values in seen.seconds.items() if forward is None and costs[name].correct}
    found = Benchmark(
        costs=costs,
        problem=facts(problem),
        base=base,
        fastest=_fastest(correct),
        jacobian_bytes=size,
        write_seconds=interval(seen.write) if seen.write else None,
        rounds=len(seen.seconds[base]) if base is not None else 0,
        clock=seen.clock,
        forward=forward,
    )
    return found, seen


def _checked(problem: Problem, names: Sequence[str]) -> tuple[dict[str, Cost], ForwardFinding | None]:
    """A row per path that says as yet whether it is right."""
    try:
        report = check(problem.model, problem.x, paths=names, images=False)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(_said(error)):
            raise
        reason = f"the check ran out of memory: {_said(error)}"
        return {name: Cost(name, "unchecked", reason) for name in names}, None
    return {name: _cost(verdict) for name, verdict in report.verdicts.items()}, report.forward


def _cost(verdict: Verdict) -> Cost:
    status, reason = verdict.status, verdict.reason
    if verdict.kind == "raised":
        status = "out of memory" if ran_out(reason or "") else "raised"
    elif status == "disagrees":
        reason = "\n".join([headline(verdict), *([reason] if reason else [])])
    return Cost(verdict.path, status, reason)


def _measurable(cost: Cost) -> bool:
    return cost.status not in ("unsupported", "raised", "out of memory")


def _call(jacobian: Callable[[nn.Module, Tensor], Mapping[str, Tensor]], problem: Problem) -> Callable[[], object]:
    return lambda: jacobian(problem.model, problem.x)


def _failed(cost: Cost, error: Exception) -> Cost:
    """The row of a path that the check had let pass, or had found wrong in another way."""
    said = _said(error)
    status = "unsupported" if isinstance(error, Unsupported) else "out of memory" if ran_out(said) else "raised"
    if cost.status == "disagrees" and status != "raised":  # it stays wrong
        status = cost.status
    return Cost(cost.path, status, "\n".join([said, *([cost.reason] if cost.reason else [])]))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _ratio(values: Sequence[float], base: Sequence[float]) -> Interval:
    return interval([mine / its if its else math.nan for mine, its in zip(values, base, strict=True)])


def _fastest(taken: Mapping[str, Sequence[float]]) -> Fastest | None:
    """Of the correct paths' seconds."""
    ranked = sorted(taken, key=lambda name: interval(taken[name]).median)
    if not ranked:
        return None
    if len(ranked) == 1:
        return Fastest(ranked[0])
    first, second, *_ = ranked
    ratio = _ratio(taken[first], taken[second])
    return Fastest(first, second, ratio, sure=ratio.high < 1 and ratio.confidence >= CONFIDENCE)
