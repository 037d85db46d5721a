"""The fixture `paired`: the benchmark of several paths in pytest-benchmark's table. No time is asserted."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from jaccheck.paths import unregister_path

pytest_plugins = ["pytester"]
pytest.importorskip("pytest_benchmark")

TESTS = """
import jaccheck, pytest, torch

class Failing:
    name = "failing"
    calls = 0

    def jacobian(self, model, x):
        self.calls += 1
        if self.calls == 4:
            raise ValueError("in the middle")
        return jaccheck.paths()

class Refusing:
    name = "refusing"

    def jacobian(self, model, x):
        raise jaccheck.Unsupported("not this model")

class Hungry:
    name = "hungry"

    def jacobian(self, model, x):
        raise MemoryError("1 EB")

for path in (Failing(), Refusing(), Hungry()):
    if path.name not in jaccheck.paths():
        jaccheck.register_path(path)

def problem():
    torch.manual_seed(0)
    return torch.nn.Linear(2, 3), torch.ones(4, 2)

@pytest.mark.parametrize("size", ["small"])
def test_paths(paired, benchmark, size):
    benchmark.extra_info["size"] = size
    found = paired(*problem(), paths=["batch_grad", "failing", "refusing", "hungry", "autograd"], seconds=1e-9)
    assert list(found.costs) == ["batch_grad", "failing", "refusing", "hungry", "autograd"]
    if benchmark.enabled:
        assert found.rounds == 6
"""
STATUSES = ["unchecked", "raised", "unsupported", "out of memory", "unchecked"]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """What a run inside loads, pytester makes Python forget, and torch can't load some of it again."""
    import jaccheck.fuzz.preload  # noqa: F401


@pytest.fixture
def run(pytester, monkeypatch):
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*options: str, tests: str = TESTS) -> pytest.RunResult:
        pytester.makepyfile(tests)
        return pytester.runpytest("-q", "-p", "no:cacheprovider", *options)

    yield run
    for name in ("failing", "refusing", "hungry"):
        with suppress(ValueError):  # it was another process
            unregister_path(name)


@pytest.mark.parametrize("n", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_row_a_path_with_ratio_and_memory_and_what_failed_says_so(run, pytester, n):
    if n:
        pytest.importorskip("xdist")
    result = run(f"-n{n}", "--benchmark-json=all.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "* benchmark 'test_paths[[]small[]]': 2 tests *",
            "*paths beside one another*",
            "*::test_paths[[]small[]]: 432 B, written once in *, 6 rounds",
            "  path * ratio to batch_grad * peak * check",
            "  batch_grad * 1 * unchecked",
            "  failing * WRONG: raised",
            "  refusing * unsupported",
            "  hungry * out of memory",
            "  autograd * unchecked",
            "  failing: ValueError: in the middle",
            "  refusing: Unsupported: not this model",
            "  hungry: MemoryError: 1 EB",
        ],
        consecutive=False,
    )
    rows = json.loads((pytester.path / "all.json").read_text())["benchmarks"]
    assert {row["name"] for row in rows} == {"test_paths[small]/batch_grad", "test_paths[small]/autograd"}
    for row in rows:
        assert row["param"] == "small"
        assert row["extra_info"]["size"] == "small"
        assert row["options"]["timer"] == "thread CPU time"
        info = row["extra_info"]["paired"]
        cost = info["cost"]
        assert cost["ratio"]["low"] <= cost["ratio"]["median"] <= cost["ratio"]["high"]
        assert cost["seconds"]["median"] == row["stats"]["median"]
        assert row["stats"]["rounds"] == info["rounds"] == 6
        assert info["jacobian_bytes"] == 432 < cost["peak_bytes"]
        assert 0 < info["inside"] < info["spent"]


def test_disabled_each_path_is_called_once(run):
    result = run("--benchmark-disable")
    result.assert_outcomes(passed=1)
    assert "beside one another" not in result.stdout.str()


def test_once_in_a_test_and_for_a_problem_that_can_be_used(run):
    tests = """
import jaccheck, torch

def test_twice(paired):
    for _ in range(2):
        paired(torch.nn.Linear(2, 3), torch.ones(4, 2), paths="autograd", seconds=1e-9)

def test_odd(paired):
    paired(torch.nn.Linear(2, 3), torch.ones(4, 2), paths="odd")

def test_checked(paired):
    found = paired(torch.nn.Linear(2, 3), torch.ones(4, 2), paths="autograd", seconds=1e-9, rounds=2, checked=True)
    assert found.fastest.path == "autograd"
    assert found.costs["autograd"].ratio.confidence == 0.5
"""
    result = run(tests=tests)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["E*RuntimeError: the fixture measures once in a test, and has done so: paired(...)"])
    result.stdout.fnmatch_lines(["E*InvalidProblem: no path is called 'odd'*"])
