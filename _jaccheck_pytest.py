"""The pytest plugin that installs with jaccheck: what jaccheck says of a model fails without a traceback into jaccheck.

It lies beside the package, for pytest imports it at every start: anything inside the package would bring torch along.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("jaccheck", "batched Jacobians")
    group.addoption(
        "--jaccheck-paths",
        metavar="NAMES",
        help="the paths that the fixture assert_agreement checks, separated by commas, or 'all'",
    )


@pytest.fixture
def assert_agreement(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`jaccheck.assert_agreement`, whose paths --jaccheck-paths chooses, unless the call names some."""
    import jaccheck

    chosen: str | None = request.config.getoption("--jaccheck-paths")
    names = chosen if chosen in (None, "all") else [name.strip() for name in str(chosen).split(",")]

    def assert_agreement(model: Any, x: Any, *, paths: Any = None, **options: Any) -> None:
        __tracebackhide__ = True
        jaccheck.assert_agreement(model, x, paths=names if paths is None else paths, **options)

    return assert_agreement


@pytest.fixture
def paired(benchmark: Any) -> Any:
    """Measure paths beside one another, ``paired(model, x, paths=…)``, with a row each in pytest-benchmark's table."""
    from jaccheck.bench.paired import Paired

    return Paired(benchmark)


@pytest.hookimpl(trylast=True)  # below pytest-benchmark's table, whichever plugin was found first
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What `paired` has measured, ratios and memory."""
    rows = getattr(getattr(config, "_benchmarksession", None), "benchmarks", ())
    if not any("paired" in row.extra_info for row in rows):
        return
    from jaccheck.bench.paired import lines

    terminalreporter.section("paths beside one another", sep="-")
    for line in lines(rows):
        terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    errors = sys.modules.get("jaccheck._errors")
    if errors is None or call.excinfo is None:
        return
    if not isinstance(call.excinfo.value, (errors.Disagreement, errors.InvalidProblem)):
        return
    if report.failed and item.config.getoption("tbstyle") == "auto" and not item.config.getoption("fulltrace"):

        def own(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
            return _own(excinfo, item.path)

        of_the_models = isinstance(call.excinfo.value, errors.InvalidProblem)  # what its forward pass raised
        report.longrepr = call.excinfo.getrepr(style="short", chain=of_the_models, tbfilter=own)


def _own(excinfo: pytest.ExceptionInfo[BaseException], test: Path) -> Any:
    """The test's part of the traceback, without that of jaccheck and of what called the test."""
    loaded = [sys.modules.get(name) for name in ("hypothesis", "jaccheck")]
    hypothesis, jaccheck = (Path(module.__file__).parent if module and module.__file__ else None for module in loaded)
    entries = excinfo.traceback
    start = next((i for i, entry in enumerate(entries) if Path(entry.path) == test), 0)
    start = max([start, *(i + 1 for i, entry in enumerate(entries) if hypothesis in Path(entry.path).parents)])
    between = {jaccheck, Path(contextlib.__file__)}  # of which jaccheck's own contexts are made
    shown = entries[start:].filter(
        lambda entry: between.isdisjoint((Path(entry.path), *Path(entry.path).parents)) and not entry.ishidden(excinfo)
    )
    return shown if len(shown) else entries[-1:]
