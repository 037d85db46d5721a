"""Let pytest-benchmark measure inside pytest-xdist's workers: one table, saved and compared by the controller.

By itself pytest-benchmark switches off where xdist is on. With this plugin a worker measures its tests on a core of its
own and sends what it has measured along with each test's last report, so that nothing of a finished test is lost if
the worker dies. The controller merges, shows, saves and compares as if there were no workers, whatever the option.

It needs nothing of jaccheck, and does nothing unless both plugins are there and xdist has workers, but for one thing:
where pytest-benchmark is there, a file for ``--benchmark-compare`` that can't be read is refused in words. The ini
options ``benchmark_xdist`` and ``benchmark_pin``, true by default, switch off the measuring, or the pinning.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SENT = "_benchmarks"  # the attribute of a report; all of a report's attributes travel with it
SHOWN = "_shown"  # the key of what stands for an object that can't travel
PARTS = ("name", "fullname", "group", "param", "params", "extra_info", "iterations", "has_error")
# What is for the controller alone to do.
WORKER_LEAVES: dict[str, Any] = {
    "benchmark_json": None,
    "benchmark_save": None,
    "benchmark_autosave": None,
    "benchmark_compare": [],
    "benchmark_compare_fail": None,
}
SAVED = {"min", "max", "mean", "stddev", "median", "iqr", "outliers", "rounds", "iterations"}  # what a table shows
SWITCHES = ("benchmark_only", "benchmark_disable", "benchmark_enable")
asked: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("benchmark_xdist", "Measure benchmarks inside the workers of pytest-xdist.", "bool", True)
    parser.addini("benchmark_pin", "Keep a worker to one core and one torch thread during a benchmark.", "bool", True)


@pytest.hookimpl(tryfirst=True)  # pytest-benchmark, which comes last, makes its session from the options
def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    if not hasattr(option, "benchmark_only"):  # pytest-benchmark isn't there
        return
    if _worker(config):
        vars(option).update(WORKER_LEAVES)
    elif isinstance(option.benchmark_compare, str):
        _comparable(option.benchmark_compare)
    measures = option.benchmark_enable or not option.benchmark_disable
    if _parallel(config) and config.getini("benchmark_xdist") and measures:
        config.stash[asked] = {name: getattr(option, name) for name in SWITCHES}
        # As if asked not to measure: else the session would object to xdist, or refuse --benchmark-only.
        vars(option).update(benchmark_only=False, benchmark_disable=True, benchmark_enable=False)


@pytest.hookimpl(tryfirst=True)  # surely after every pytest_configure, and before any test is collected
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if asked not in config.stash:
        return
    switches = config.stash[asked]
    vars(config.option).update(switches)
    bench: Any = vars(config)["_benchmarksession"]
    bench.disabled = False
    bench.only = config.option.benchmark_only
    bench.skip = config.option.benchmark_skip and not bench.only
    config.pluginmanager.register(Worker(config, bench) if _worker(config) else Controller(config, bench))


def _worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _parallel(config: pytest.Config) -> bool:
    """Whether this is a worker, or has workers, or would have some if it did more than collect."""
    option = config.option
    return _worker(config) or bool(getattr(option, "dist", "no") != "no" and getattr(option, "tx", None))


def _comparable(name: str) -> None:
    """Refuse a file that pytest-benchmark would stumble over, or pass over.

    Raises:
        pytest.UsageError: it isn't what ``--benchmark-json`` or ``--benchmark-save`` has written.
    """
    if not Path(name).is_file():
        if len(Path(name).parts) > 2 or name.endswith(".json"):
            raise pytest.UsageError(f"--benchmark-compare: there is no file {name}")
        return  # a number or a pattern, of which pytest-benchmark tells by itself if it stands for nothing
    try:
        saved = json.loads(Path(name).read_text(encoding="utf-8"))
        known = isinstance(saved["machine_info"], dict) and all(
            isinstance(row["fullname"], str) and row["stats"].keys() >= SAVED for row in saved["benchmarks"]
        )
    except OSError as error:
        raise pytest.UsageError(f"--benchmark-compare: can't read {name}: {error.strerror}") from error
    except (ValueError, TypeError, LookupError, AttributeError):
        known = False
    if not known:
        raise pytest.UsageError(f"--benchmark-compare: {name} is no file that --benchmark-json or -save has written")


class Worker:
    """Measures, and sends what it has measured."""

    def __init__(self, config: pytest.Config, bench: Any) -> None:
        self.bench = bench
        self.name, self.core = (config.workerinput.get(key) for key in ("workerid", "benchmark_core"))  # type: ignore[attr-defined]
        self.pins = config.getini("benchmark_pin")
        self.place: dict[str, int] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.place = {item.nodeid: place for place, item in enumerate(session.items)}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        measures = "benchmark" in getattr(item, "fixturenames", ()) and not self.bench.skip
        if not (measures and self.pins):
            yield
            return
        with _pinned(self.core):
            yield

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
        outcome: Any = yield
        if call.when == "teardown" and self.bench.benchmarks:
            sent = [self.packed(row) | {"place": self.place.get(item.nodeid, 0)} for row in self.bench.benchmarks]
            setattr(outcome.get_result(), SENT, sent)
            self.bench.benchmarks.clear()  # in place: fixtures hold its append

    def packed(self, row: Any) -> dict[str, Any]:
        from pytest_benchmark import utils

        name_of: Any = utils.funcname  # which is untyped

        parts = {part: _packed(getattr(row, part)) for part in PARTS}
        parts["extra_info"] = _packed(dict(row.extra_info, worker=self.name))
        parts["options"] = {
            name: _packed(name_of(value) if callable(value) else value) for name, value in row.options.items()
        }
        profile = row.cprofile_stats and row.cprofile_stats.stats
        return parts | {"data": row.stats.data, "profile": profile}


@contextmanager
def _pinned(core: int | None) -> Iterator[None]:
    """Inside, this thread keeps to `core`, where the platform has told of one, and torch to this thread."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    cores = None if core is None else os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if cores is not None:
            os.sched_setaffinity(0, cores)
        if torch:
            torch.set_num_threads(threads)


class Controller:
    """Gives each worker a core, and gathers what they send."""

    def __init__(self, config: pytest.Config, bench: Any) -> None:
        self.config, self.bench = config, bench
        self.cores = _cores()
        self.used: Counter[int] = Counter()
        self.places: dict[int, int] = {}
        self.warned = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self.cores and getattr(node.gateway.spec, "popen", False):  # on this machine
            core = min(self.cores, key=lambda core: self.used[core])  # the first of those least in use
            self.used[core] += 1
            node.workerinput["benchmark_core"] = core

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if "benchmark_core" in node.workerinput:  # for the worker that replaces one that has died
            self.used[node.workerinput["benchmark_core"]] -= 1

    @pytest.hookimpl(tryfirst=True)  # taken off before others see the report
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from pytest_benchmark import stats

        metadata: Any = stats.Metadata  # which is untyped

        for parts in vars(report).pop(SENT, ()):
            fixture = SimpleNamespace(**{name: _unpacked(parts[name]) for name in PARTS})
            fixture.cprofile_stats = parts["profile"] and SimpleNamespace(stats=parts["profile"])
            row = metadata(fixture, fixture.iterations, _unpacked(parts["options"]))
            row.stats.data = parts["data"]  # of one iteration each
            self.places[id(row)] = parts["place"]
            self.bench.benchmarks.append(row)
            self._warn()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)  # around pytest-benchmark's, which saves and compares
    def pytest_sessionfinish(self) -> Iterator[None]:
        self.bench.benchmarks.sort(key=lambda row: self.places[id(row)])  # as one process would have run them
        yield

    def _warn(self) -> None:
        """Once, and only where something was measured; no filter turns it into an exception."""
        workers = sum(self.used.values())
        if self.warned or workers <= len(self.cores):
            return
        self.warned = True
        text = f"{workers} workers measure benchmarks on {len(self.cores)} cores, and disturb one another: take fewer."
        warning = warnings.WarningMessage(pytest.PytestWarning(text), pytest.PytestWarning, __file__, 0)
        self.config.hook.pytest_warning_recorded.call_historic(
            kwargs={"warning_message": warning, "nodeid": "", "when": "config", "location": None}
        )


def _cores() -> list[int]:
    """Those that this process may use, one of each pair of siblings first; none where the platform doesn't say."""
    if not hasattr(os, "sched_getaffinity"):
        return []

    def rank(core: int) -> tuple[int, int]:
        listed = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        try:
            first = listed.read_text(encoding="ascii").replace("-", ",").split(",")[0]
        except OSError:
            return 0, core
        return int(int(first) != core), core

    return sorted(os.sched_getaffinity(0), key=rank)


def _packed(value: Any) -> Any:
    """`value` in what execnet can send."""
    import execnet

    try:
        execnet.dumps(value)
    except (execnet.DumpError, UnicodeError):
        pass
    else:
        return value
    if isinstance(value, dict):
        return {str(key): _packed(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(part) for part in value]
    if isinstance(value, (str, int, float)):  # of a class of its own: an enumeration's, NumPy's
        return json.loads(json.dumps(value))
    return {SHOWN: [_sendable(str(value)), _sendable(repr(value))]}


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        return _Shown(*value[SHOWN]) if SHOWN in value else {key: _unpacked(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_unpacked(part) for part in value)
    return value


class _Shown:
    """In tables and in JSON it looks like the object that stayed in the worker."""

    def __init__(self, text: str, shown: str) -> None:
        self._text, self._shown = text, shown

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._shown
