"""pytest-benchmark under xdist: each option does what it does without, and nobody else is disturbed."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]
pytest.importorskip("xdist")
pytest.importorskip("pytest_benchmark")

PLUGINS = ("xdist", "pytest_benchmark.plugin", "_jaccheck_benchmark_xdist")
BRIEF = ("--benchmark-max-time=0.001", "--benchmark-min-rounds=3", "--benchmark-timer=time.process_time")
TESTS = """
import enum, pytest

class Level(enum.IntEnum):
    LOW = 1

class Thing:
    def __repr__(self):
        return "Thing()"

    def __str__(self):
        return "a thing"

@pytest.mark.benchmark(group="sums")
@pytest.mark.parametrize("n", [300, 200, 100])
def test_sum(benchmark, n):
    benchmark.extra_info["seen"] = {"level": Level.LOW, "things": [Thing()], "text": "é"}
    assert benchmark(sum, range(n)) == n * (n - 1) // 2

@pytest.mark.parametrize("thing", [Thing()])
def test_length(benchmark, thing):
    benchmark(len, "abc")

def test_fails(benchmark):
    benchmark(len, 3)

def test_other():
    pass
"""
MEASURED = ["test_sum[300]", "test_sum[200]", "test_sum[100]", "test_length[thing0]"]


@pytest.fixture(params=["0", "2"])
def workers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(pytester, monkeypatch):
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: str, tests: str = TESTS, plugins: tuple[str, ...] = PLUGINS) -> pytest.RunResult:
        pytester.makepyfile(test_it=tests)
        named = [word for plugin in plugins for word in ("-p", plugin)]
        brief = BRIEF if "pytest_benchmark.plugin" in plugins else ()
        return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", *named, *brief, *options)

    return run


def table(result: pytest.RunResult) -> dict[str, list[str]]:
    """The names of the rows of each group; their own order is that of their times."""
    groups: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in result.stdout.lines:
        if " benchmark" in line and " tests ---" in line:
            rows = groups.setdefault(line.strip("-").partition(":")[0].strip(), [])
        elif line.startswith("test_"):
            rows.append(line.split()[0])
    return {name: sorted(rows) for name, rows in groups.items()}


def skeleton(value: Any) -> Any:
    """What doesn't depend on how long anything took, or on which worker it ran."""
    if isinstance(value, dict):
        varying = {"worker", "stats", "datetime", "machine_info", "commit_info"}
        return {key: skeleton(part) for key, part in value.items() if key not in varying}
    return [skeleton(part) for part in value] if isinstance(value, list) else value


def saved(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


@pytest.mark.long
@pytest.mark.skipif(find_spec("pygal") is None, reason="--benchmark-histogram needs pygal")  # which isn't imported here
def test_json_autosave_groups_and_histogram_are_as_without_xdist(run, pytester):
    files = {}
    for n in "02":
        options = ("--benchmark-autosave", f"--benchmark-json={n}.json", "--benchmark-group-by=group,func")
        result = run(f"-n{n}", *options, f"--benchmark-histogram=drawn{n}", f"--benchmark-storage=saved{n}")
        result.assert_outcomes(passed=5, failed=1)
        assert table(result) == {
            "benchmark 'sums test_sum'": sorted(MEASURED[:3]),
            "benchmark 'test_length'": MEASURED[3:],
        }
        assert sorted(file.name for file in pytester.path.glob(f"drawn{n}*")) == [
            f"drawn{n}-sums_test_sum.svg",
            f"drawn{n}-test_length.svg",
        ]
        files[n] = saved(pytester.path / f"{n}.json")
        (stored,) = (pytester.path / f"saved{n}").rglob("*.json")
        assert [row["name"] for row in saved(stored)["benchmarks"]] == MEASURED
    assert [row["name"] for row in files["2"]["benchmarks"]] == MEASURED  # not in the order in which they came
    assert skeleton(files["2"]) == skeleton(files["0"])
    assert files["2"]["benchmarks"][3]["params"] == {"thing": "UNSERIALIZABLE[Thing()]"}
    for one, two in zip(files["0"]["benchmarks"], files["2"]["benchmarks"], strict=True):
        assert one["stats"].keys() == two["stats"].keys()
        assert len(two["stats"]["data"]) == two["stats"]["rounds"]
    assert {row["extra_info"]["worker"] for row in files["2"]["benchmarks"]} <= {"gw0", "gw1"}


def test_each_test_is_measured_in_a_worker_process_and_compared_by_the_controller(run, workers, pytester):
    run("-n2", "--benchmark-save=first")
    (file,) = pytester.path.glob(".benchmarks/*/0001_first.json")
    fast = saved(file)
    for row in fast["benchmarks"]:
        row["stats"]["min"] = 1e-12
    file.write_text(json.dumps(fast), encoding="utf-8")
    result = run(f"-n{workers}", "--benchmark-compare=0001", "--benchmark-compare-fail=min:5%")
    assert table(result)["benchmark 'sums'"] == sorted(name for name in MEASURED[:3] for _ in range(2))
    result.stderr.fnmatch_lines(["*Performance has regressed:*", "*test_sum[[]*Field 'min' has failed*"])
    assert result.ret == 1
    assert len([line for line in result.stderr.lines if "has failed" in line]) == len(MEASURED)


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "outcomes", "rows"),
    [
        (("--benchmark-only",), {"passed": 4, "failed": 1, "skipped": 1}, MEASURED),
        (("--benchmark-only", "--benchmark-skip"), {"passed": 4, "failed": 1, "skipped": 1}, MEASURED),
        (("--benchmark-skip",), {"passed": 1, "skipped": 5}, []),
        (("--benchmark-disable",), {"passed": 5, "failed": 1}, []),
        (("--benchmark-disable", "--benchmark-enable"), {"passed": 5, "failed": 1}, MEASURED),
    ],
)
def test_which_tests_are_run_and_measured(run, options, outcomes, rows):
    result = run("-n1", *options)
    result.assert_outcomes(**outcomes)
    assert sorted(row for group in table(result).values() for row in group) == sorted(rows)
    assert "disabled" not in result.stderr.str() + result.stdout.str()


def test_only_and_disable_are_refused_together(run, workers):
    result = run(f"-n{workers}", "--benchmark-only", "--benchmark-disable")
    result.stderr.fnmatch_lines(["ERROR: Can't have both --benchmark-only and --benchmark-disable*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_collecting_alone_lists_the_tests_without_a_word_on_workers(run, workers):
    for option in ("--benchmark-only", "--benchmark-skip"):
        result = run(f"-n{workers}", "--collect-only", option)
        assert result.ret == 0
        assert sum("::test_" in line for line in result.stdout.lines) == 6
        assert "disabled" not in result.stderr.str() + result.stdout.str()


@pytest.mark.long
def test_profiles_and_groups_by_a_parameter_come_through(run):
    tests = TESTS.replace("def test_fails(", "def fails(")
    result = run("-n1", "--benchmark-cprofile=ncalls", "--benchmark-group-by=param:thing", "-k", "length", tests=tests)
    result.stdout.fnmatch_lines(
        ["*benchmark 'thing=a thing'*", "*test_it.py::test_length*", "*<built-in method builtins.len>*"]
    )


CRASH = """
import os, time

def test_before(benchmark):
    benchmark(len, "a")

def test_dies(benchmark):
    benchmark(len, "a")
    os._exit(1)

def test_after(benchmark):
    benchmark(len, "a")

def test_last(benchmark):
    benchmark(len, "a")
"""


def test_what_was_measured_outlives_the_worker(run, pytester):
    result = run("-n1", "--benchmark-json=all.json", tests=CRASH)
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running 'test_it.py::test_dies'*"])
    names = [row["name"] for row in saved(pytester.path / "all.json")["benchmarks"]]
    assert names == ["test_before", "test_after", "test_last"]


PINNED = """
import os, sys, pytest

threads = 8

class torch:
    def get_num_threads():
        return threads

    def set_num_threads(number):
        global threads
        threads = number

sys.modules["torch"] = torch
COUNT = len(os.sched_getaffinity(0))

@pytest.mark.parametrize("i", range(4))
def test_measured(benchmark, i):
    benchmark(len, "a")
    benchmark.extra_info["cores"] = sorted(os.sched_getaffinity(0))
    benchmark.extra_info["threads"] = threads

def test_not_measured():
    assert len(os.sched_getaffinity(0)) == COUNT
    assert threads == 8
"""
cores = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this platform doesn't pin threads to cores")


@cores
def test_a_worker_has_a_core_and_a_thread_while_it_measures_and_no_longer(run, pytester):
    result = run("-n2", "--benchmark-json=all.json", "--dist=loadfile", tests=PINNED)
    result.assert_outcomes(passed=5)
    seen = [row["extra_info"] for row in saved(pytester.path / "all.json")["benchmarks"]]
    assert [info["threads"] for info in seen] == [1] * 4
    assert {tuple(info["cores"]) for info in seen} == {(seen[0]["cores"][0],)}
    assert set(seen[0]["cores"]) <= os.sched_getaffinity(0)
    run("-n1", "--benchmark-json=free.json", "-o", "benchmark_pin=false", tests=PINNED)
    free = saved(pytester.path / "free.json")["benchmarks"][0]["extra_info"]
    assert (free["cores"], free["threads"]) == (sorted(os.sched_getaffinity(0)), 8)


@cores
def test_workers_have_different_cores_while_there_are_any_and_one_warning_afterwards(run, pytester):
    many = len(os.sched_getaffinity(0)) + 1
    tests = PINNED.replace("range(4)", f"range({4 * many})")
    result = run(f"-n{many}", "--benchmark-json=all.json", "-Werror", tests=tests)
    result.assert_outcomes(passed=4 * many + 1, warnings=1)
    result.stdout.fnmatch_lines([f"*PytestWarning: {many} workers measure benchmarks on {many - 1} cores*"])
    rows = [row["extra_info"] for row in saved(pytester.path / "all.json")["benchmarks"]]
    seen = {(row["worker"], *row["cores"]) for row in rows}  # a core a worker
    assert len(seen) == len({worker for worker, _ in seen}) == many
    assert len({core for _, core in seen}) == many - 1


@pytest.mark.long
def test_too_many_workers_are_no_matter_where_nothing_is_measured(run):
    tests = "def test_a(): pass\ndef test_b(): pass"
    result = run(f"-n{(os.cpu_count() or 1) + 1}", tests=tests)
    result.assert_outcomes(passed=2, warnings=0)


@pytest.mark.parametrize("absent", ["xdist", "pytest_benchmark.plugin"])
def test_it_needs_neither(run, absent):
    tests = "def test_a(): pass"
    result = run(tests=tests, plugins=tuple(plugin for plugin in PLUGINS if plugin != absent))
    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_without_workers_pytest_benchmark_is_alone(run, monkeypatch):
    alone = run("-n0", "--benchmark-json=alone.json", plugins=PLUGINS[:2])
    beside = run("-n0", "--benchmark-json=beside.json")
    assert skeleton(saved(Path("alone.json"))) == skeleton(saved(Path("beside.json")))
    assert table(alone) == table(beside)


@pytest.mark.long
def test_it_can_be_switched_off(run):
    result = run("-n1", "-o", "benchmark_xdist=false")
    assert table(result) == {}
    assert "Benchmarks are automatically disabled" in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize(
    ("n", "name", "content", "says"),
    [
        (0, "gone.json", None, "there is no file gone.json"),
        (2, "gone.json", None, "there is no file gone.json"),
        (2, "a/b/c", None, "there is no file a/b/c"),
        (0, "list.json", "[]", "list.json is no file that --benchmark-json or -save has written"),
        (2, "text.json", "text", "text.json is no file that --benchmark-json or -save has written"),
        (
            2,
            "row.json",
            '{"machine_info": {}, "benchmarks": [{"fullname": "a", "stats": {"mean": 1}}]}',
            "row.json is no",
        ),
    ],
)
def test_what_cannot_be_compared_with_is_one_line(run, pytester, n, name, content, says):
    if content is not None:
        (pytester.path / name).write_text(content, encoding="utf-8")
    result = run(f"-n{n}", f"--benchmark-compare={name}")
    (line,) = (line for line in result.stderr.lines if line)
    assert line.startswith(f"ERROR: --benchmark-compare: {says}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.long
def test_a_number_that_stands_for_nothing_is_told_once(run):
    result = run("-n2", "--benchmark-compare=0099")
    assert len([line for line in result.stderr.lines if "Can't compare. No benchmark files" in line]) == 1
    assert sorted(row for group in table(result).values() for row in group) == sorted(MEASURED)
