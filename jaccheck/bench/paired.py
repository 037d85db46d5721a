"""A benchmark in pytest-benchmark's table: a row a path, and what a table of its own says of them afterwards."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from jaccheck.bench.benchmark import run
from jaccheck.bench.costs import UNITS, Benchmark, Cost, scaled, size, table
from jaccheck.bench.measure import Measured
from jaccheck.bench.timing import FEWEST, Interval
from jaccheck.paths import resolve

INFO = "paired"
"""The key in a row's `extra_info`."""


class Paired:
    """What the fixture `paired` gives: measures paths on one problem beside one another, as `jaccheck.benchmark` does.

    ``--benchmark-max-time`` and ``--benchmark-min-rounds`` are for each path; the clock is ours, ``--benchmark-timer``
    is for others. Where benchmarks are disabled each path is called once.
    """

    def __init__(self, fixture: Any) -> None:
        self._fixture = fixture  # pytest-benchmark's own, from which each row is a copy

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        *,
        paths: str | Sequence[str] | None = None,
        seconds: float | None = None,
        rounds: int | None = None,
        checked: bool = False,
    ) -> Benchmark:
        """Measure, and enter a row for each path.

        Args:
            model, x, paths: as for `jaccheck.benchmark`.
            seconds: how long to time, all paths together; None: ``--benchmark-max-time`` for each.
            rounds: that are run in any case; None: ``--benchmark-min-rounds``, but as many as an interval takes.
            checked: whether to check each path first; else none is named the fastest.

        Raises:
            RuntimeError: the fixture has been used in this test before.
            InvalidProblem: as `jaccheck.benchmark`.
        """
        fixture = self._fixture
        if fixture._mode:
            raise RuntimeError(f"the fixture measures once in a test, and has done so: {fixture._mode}")
        fixture._mode = "paired(...)"
        least = 0 if fixture.disabled else rounds or max(FEWEST, fixture._min_rounds)
        found, seen = run(
            model,
            x,
            paths=paths,
            seconds=fixture._max_time * len(resolve(paths)) if seconds is None else seconds,
            least=least,
            checked=checked,
        )
        if least:
            for cost in found.costs.values():
                self._enter(found, seen, cost)
        return found

    def _enter(self, found: Benchmark, seen: Measured, cost: Cost) -> None:
        row = copy.copy(self._fixture)
        row.name, row.fullname = (f"{name}/{cost.path}" for name in (row.name, row.fullname))
        row.group = row.group or self._fixture.name
        row.extra_info = row.extra_info | {INFO: _info(found, seen, cost)}
        row.has_error = cost.seconds is None  # then it is in no statistics, but in the table below
        entered = row._make_stats(1)
        entered.options["timer"] = found.clock
        for value in seen.seconds.get(cost.path, ()):
            entered.update(value)


def _info(found: Benchmark, seen: Measured, cost: Cost) -> dict[str, Any]:
    return {
        "cost": asdict(cost),
        "base": found.base,
        "clock": found.clock,
        "rounds": found.rounds,
        "jacobian_bytes": found.jacobian_bytes,
        "write_seconds": None if found.write_seconds is None else asdict(found.write_seconds),
        "inside": seen.inside,
        "spent": seen.spent,
    }


def lines(rows: Iterable[Any]) -> Iterator[str]:
    """For each test that has measured paths a table, from what its rows of pytest-benchmark's table tell."""
    tests: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if INFO in row.extra_info:
            test = row.fullname.removesuffix(f"/{row.extra_info[INFO]['cost']['path']}")
            tests.setdefault(test, []).append(row.extra_info[INFO])
    for test, infos in tests.items():
        info = infos[0]
        once = f", written once in {scaled(info['write_seconds']['median'], UNITS)}" if info["write_seconds"] else ""
        yield f"{test}: {size(info['jacobian_bytes'])}{once}, {info['rounds']} rounds"
        yield from table([_cost(info["cost"]) for info in infos], info["clock"], info["base"])


def _cost(data: dict[str, Any]) -> Cost:
    intervals = {name: data[name] and Interval(**data[name]) for name in ("seconds", "ratio")}
    return Cost(**{**data, **intervals})
