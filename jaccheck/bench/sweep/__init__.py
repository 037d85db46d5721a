"""Cost over size: many drawn problems, the paths timed on each, and laws fitted to what that took."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from jaccheck._errors import InvalidProblem
from jaccheck.bench.benchmark import run
from jaccheck.bench.costs import Benchmark
from jaccheck.bench.memory import settled
from jaccheck.bench.sweep.fit import FEWEST as FEWEST_POINTS
from jaccheck.bench.sweep.problems import stratified
from jaccheck.bench.sweep.result import FORWARD as FORWARD
from jaccheck.bench.sweep.result import Point, Sweep
from jaccheck.bench.timing import FEWEST
from jaccheck.paths import get, mode, resolve

BRIEFLY = 1e-9  # seconds: the fewest rounds


def sweep(
    *,
    problems: int = 200,
    seed: int = 0,
    paths: str | Sequence[str] | None = "all",
    dtype: str = "float32",
    device: str = "cpu",
    watch: Callable[[int], None] = lambda done: None,
) -> Sweep:
    """Measure what each path costs on drawn problems of all sizes, as a function of N, C, the parameters and the depth.

    Each problem is one `jaccheck.benchmark` of six rounds. What a path took enters only where a check has proved the
    path right. An interrupt ends the sweep with what has been measured.

    Args:
        problems: how many; they are stratified, so that each size has its share.
        seed: the same one draws the same problems.
        paths: as for `jaccheck.benchmark`, but ``"all"`` by default.
        dtype, device: of the problems, by name.
        watch: is told how many problems are done.
    Raises:
        InvalidProblem: there are fewer problems than a fit takes, a path is unknown, or none could be measured.
        KeyboardInterrupt: nothing has been measured yet.
    """
    if problems < FEWEST_POINTS:
        raise InvalidProblem(f"a fit takes {FEWEST_POINTS} problems or more, not {problems}")
    names = resolve(paths)
    reverse = tuple(name for name in names if mode(get(name)) == "reverse")
    points: list[Point] = []
    interrupted = False
    try:
        with settled():
            for done, network in enumerate(stratified(problems, seed, dtype, device)):
                watch(done)
                model, x = network.build()
                chosen = names if network.parameters <= FORWARD else reverse
                if chosen:
                    found, _ = run(model, x, paths=chosen, seconds=BRIEFLY, least=FEWEST)
                    points.append(_point(found, model))
    except KeyboardInterrupt:
        if not any(point.seconds for point in points):
            raise
        interrupted = True
    if not any(point.seconds for point in points):
        raise InvalidProblem("no path could be measured and proved right on any problem")
    forward = tuple(name for name in names if name not in reverse)
    return Sweep.of(points, seed=seed, dtype=dtype, device=device, interrupted=interrupted, forward=forward)


def _point(found: Benchmark, model: nn.Module) -> Point:
    facts = found.problem
    correct = {name: cost for name, cost in found.costs.items() if cost.correct and cost.seconds and cost.peak_bytes}
    return Point(
        N=facts.N,
        C=facts.C,
        P=sum(p.numel() for p in model.parameters() if p.requires_grad),
        depth=sum(isinstance(module, nn.Linear) for module in model.modules()),
        seconds={name: cost.seconds.median for name, cost in correct.items() if cost.seconds},
        bytes={name: cost.peak_bytes for name, cost in correct.items() if cost.peak_bytes},
        fastest=None if found.fastest is None else found.fastest.path,
        sure=found.fastest is not None and found.fastest.sure,
        wrong=tuple(name for name, cost in found.costs.items() if cost.status in ("disagrees", "raised")),
    )
