"""benchmark() and what it is made of. How long anything takes is asserted nowhere."""

from __future__ import annotations

import json
import math
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import jaccheck
from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._report import ForwardFinding
from jaccheck._state import Snapshot
from jaccheck.bench import benchmark as _benchmark
from jaccheck.bench import measure as _measure
from jaccheck.bench import memory as _memory
from jaccheck.bench.costs import Benchmark, Cost, Fastest
from jaccheck.bench.timing import FEWEST, Interval
from jaccheck.cli import main
from jaccheck.paths import get, register_path, unregister_path
from tests.bench.test_memory import held
from tests.documented import assert_documented

BRIEFLY = 1e-9  # seconds: the fewest rounds

Jacobian = dict[str, Tensor]


class Ours:
    """A path that does something in the course of its n-th call, n from 1, and then what vmap_jacrev does."""

    def __init__(self, name: str, act: Callable[[int], object], make: Callable[[Jacobian], Jacobian]) -> None:
        self.name, self.act, self.make, self.calls = name, act, make, 0

    def jacobian(self, model: nn.Module, x: Tensor) -> Jacobian:
        self.calls += 1
        self.act(self.calls)
        return self.make(get("vmap_jacrev").jacobian(model, x))


@pytest.fixture
def ours() -> Iterator[Callable[..., Ours]]:
    names = []

    def registered(
        name: str, act: Callable[[int], object] = lambda call: None, make: Callable[[Jacobian], Jacobian] = dict
    ) -> Ours:
        path = Ours(name, act, make)
        register_path(path)
        names.append(name)
        return path

    yield registered
    for name in names:
        unregister_path(name)


@pytest.fixture
def problem() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), torch.randn(5, 4)


def raises(error: Exception, calls: Callable[[int], bool] = lambda call: True) -> Callable[[int], None]:
    def act(call: int) -> None:
        if calls(call):
            raise error

    return act


def doubled(J: Jacobian) -> Jacobian:
    return {name: 2 * j for name, j in J.items()}


def halved_clock(monkeypatch: pytest.MonkeyPatch, cheap: str) -> None:
    """To the clock, each call of the path `cheap` takes 1 s, and any other 2 s."""

    def clock(device: torch.device) -> tuple[str, Callable[[Callable[[], object]], float]]:
        def seconds(call: Callable[[], object]) -> float:
            path = get(cheap)
            before = path.calls
            call()
            return 1.0 if path.calls > before else 2.0

        return "simulated", seconds

    monkeypatch.setattr(_measure, "clock", clock)


# what a benchmark says


def test_one_row_a_path_in_the_order_named(problem):
    names = ("sqrt_ggn_exact", "autograd", "batch_grad")
    found = jaccheck.benchmark(*problem, paths=names, seconds=BRIEFLY)
    assert tuple(found.costs) == names
    assert [cost.path for cost in found.costs.values()] == list(names)
    assert found.base == "sqrt_ggn_exact"
    assert found.costs[found.base].ratio == Interval(1.0, 1.0, 1.0)
    assert found.rounds == FEWEST
    for cost in found.costs.values():
        assert cost.status == "agrees"
        for value in (cost.seconds, cost.ratio):
            assert 0 < value.low <= value.median <= value.high
        assert cost.peak_bytes >= found.jacobian_bytes  # it is part of what a call holds
        assert 0 <= cost.python_bytes < cost.peak_bytes
    assert found.ok
    assert found.fastest.path in names
    assert found.fastest.runner_up in names


def test_paths_as_in_a_check(problem):
    assert tuple(jaccheck.benchmark(*problem, seconds=BRIEFLY).costs) == jaccheck.paths()[:3]
    with pytest.raises(InvalidProblem, match="no path is called 'odd'"):
        jaccheck.benchmark(*problem, paths=("odd",))
    with pytest.raises(InvalidProblem, match=r"should be a torch\.Tensor"):
        jaccheck.benchmark(problem[0], 3)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_seconds_that_cannot_be_are_refused(problem, seconds):
    with pytest.raises(InvalidProblem, match="should be a positive number"):
        jaccheck.benchmark(*problem, seconds=seconds)


def test_the_jacobian_has_as_many_bytes_as_it_has(problem):
    model, x = problem
    found = jaccheck.benchmark(model, x, paths="autograd", seconds=BRIEFLY)
    assert found.jacobian_bytes == sum(j.numel() * 4 for j in jaccheck.jacobian(model, x).values())
    assert found.write_seconds is not None


def test_the_fastest_is_named_and_how_sure_that_is(problem, ours, monkeypatch):
    ours("cheap")
    halved_clock(monkeypatch, "cheap")
    found = jaccheck.benchmark(*problem, paths=("autograd", "cheap"), seconds=BRIEFLY)
    assert found.fastest == Fastest("cheap", "autograd", Interval(0.5, 0.5, 0.5), sure=True)
    assert "Fastest correct path: cheap, surely: 0.500 [0.500, 0.500] times autograd." in str(found)
    found = jaccheck.benchmark(*problem, paths=("autograd", "batch_grad"), seconds=BRIEFLY)
    assert found.fastest.ratio == Interval(1.0, 1.0, 1.0)
    assert not found.fastest.sure
    assert "not surely" in str(found)


def test_a_wrong_path_is_marked_and_never_the_fastest(problem, ours, monkeypatch):
    ours("cheap", make=doubled)
    halved_clock(monkeypatch, "cheap")
    found = jaccheck.benchmark(*problem, paths=("autograd", "cheap"), seconds=BRIEFLY)
    wrong = found.costs["cheap"]
    assert wrong.status == "disagrees"
    assert "lies outside the enclosure" in wrong.reason
    assert wrong.ratio == Interval(0.5, 0.5, 0.5)
    assert found.fastest == Fastest("autograd")
    assert not found.ok
    assert "WRONG" in str(found)
    alone = jaccheck.benchmark(*problem, paths="cheap", seconds=BRIEFLY)
    assert alone.fastest is None
    assert "none is named the fastest" in str(alone)


def test_a_path_about_which_nothing_is_known_is_never_the_fastest():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())  # no enclosure
    found = jaccheck.benchmark(model, torch.randn(2, 1, 4, 4), paths="autograd", seconds=BRIEFLY)
    assert found.costs["autograd"].status == "vacuous"
    assert found.costs["autograd"].seconds is not None
    assert found.fastest is None
    assert found.ok


def test_where_the_models_own_output_is_wrong_none_is_the_fastest(problem, monkeypatch):
    finding = ForwardFinding("0", (0, 0), 1.0, 2.0, 0.1, 10.0)
    checked = _benchmark._checked
    monkeypatch.setattr(_benchmark, "_checked", lambda *args: (checked(*args)[0], finding))
    found = jaccheck.benchmark(*problem, paths="autograd", seconds=BRIEFLY)
    assert not found.ok
    assert found.fastest is None
    assert "the model's own output is wrong, from layer '0' on" in str(found)


# paths that fail

CALLS = {"check": 1, "first": 2, "memory": 3, "warm-up": 4, "first round": 5, "a later round": 10}


ERRORS = (
    (ValueError("not today"), "raised"),
    (Unsupported("not this layer"), "unsupported"),
    (MemoryError("1 EB"), "out of memory"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 EB"), "out of memory"),
    (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 EB"), "out of memory"),
)
FAILING = [(when, *raised) for when in ("check", "first round") for raised in ERRORS]  # judged, and measured
FAILING += [
    (when, *raised) for when, raised in zip(("first", "memory", "warm-up", "a later round"), ERRORS, strict=False)
]


@pytest.mark.long
@pytest.mark.parametrize(("when", "error", "status"), FAILING)
def test_a_path_that_fails_says_so_in_its_row_and_the_others_stand(problem, ours, when, error, status):
    ours("failing", raises(error, lambda call: call >= CALLS[when]))
    found = jaccheck.benchmark(*problem, paths=("failing", "autograd", "batch_grad"), seconds=BRIEFLY)
    failing = found.costs["failing"]
    assert (failing.status, failing.seconds, failing.ratio, failing.peak_bytes) == (status, None, None, None)
    assert str(error) in failing.reason
    assert str(error) in str(found)
    assert found.ok == (status != "raised")
    assert found.base == "autograd"
    for name in ("autograd", "batch_grad"):
        assert found.costs[name].status == "agrees"
        assert found.costs[name].seconds is not None
    assert found.fastest.path != "failing"


def test_a_wrong_path_that_runs_out_of_memory_stays_wrong(problem, ours):
    ours("failing", raises(MemoryError("1 EB"), lambda call: call > 1), doubled)
    failing = jaccheck.benchmark(*problem, paths="failing", seconds=BRIEFLY).costs["failing"]
    assert failing.status == "disagrees"
    assert "1 EB" in failing.reason
    assert "outside" in failing.reason


def test_a_path_that_leaves_something_behind_is_wrong(problem, ours):
    model, x = problem
    ours("leaving", lambda call: setattr(model, "left", call))
    found = jaccheck.benchmark(model, x, paths=("leaving", "autograd"), seconds=BRIEFLY)
    assert found.costs["leaving"].status == "disagrees"
    assert "left" in found.costs["leaving"].reason
    assert not hasattr(model, "left")


def test_a_check_that_runs_out_of_memory_leaves_the_paths_unchecked(problem, monkeypatch):
    def check(*args: object, **options: object) -> None:
        raise MemoryError("1 EB")

    monkeypatch.setattr(_benchmark, "check", check)
    found = jaccheck.benchmark(*problem, paths="autograd", seconds=BRIEFLY)
    cost = found.costs["autograd"]
    assert (cost.status, cost.reason) == ("unchecked", "the check ran out of memory: MemoryError: 1 EB")
    assert cost.seconds is not None
    assert found.fastest is None


def test_a_fault_of_the_check_is_no_verdict(problem, monkeypatch):
    def check(*args: object, **options: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(_benchmark, "check", check)
    with pytest.raises(RuntimeError, match="a fault"):
        jaccheck.benchmark(*problem)


@pytest.mark.parametrize("model", [nn.Linear(2, 3), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3).eval())])
@pytest.mark.parametrize("shape", [(0, 2), (1, 2)])
def test_the_smallest_problems(model, shape):
    found = jaccheck.benchmark(model, torch.ones(shape), paths=("autograd", "batch_grad"), seconds=BRIEFLY)
    assert found.ok
    json.loads(found.to_json())
    assert str(found)


# state


def test_everything_is_as_it_was(problem):
    model, x = problem
    model[0].weight.grad = torch.ones_like(model[0].weight)
    torch.set_num_threads(2)
    try:
        before = Snapshot.take(model, x)
        environment = dict(os.environ)
        jaccheck.benchmark(model, x, paths="all", seconds=BRIEFLY)
        assert not before.changes()
        assert dict(os.environ) == environment
        assert torch.get_num_threads() == 2
        assert not tracemalloc.is_tracing()
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("when", CALLS)
def test_everything_is_as_it_was_after_an_interrupt(problem, ours, when):
    model, x = problem

    def act(call: int) -> None:
        model.left = call
        if call == CALLS[when]:
            raise KeyboardInterrupt

    ours("interrupted", act)
    before = Snapshot.take(model, x)
    with pytest.raises(KeyboardInterrupt):
        jaccheck.benchmark(model, x, paths="interrupted", seconds=BRIEFLY)
    assert not before.changes()
    assert not tracemalloc.is_tracing()


# memory


def test_a_path_that_needs_more_is_seen_to(problem, ours):
    kept: list[Tensor] = []
    megabytes = 5 * 10**6
    ours("plain")
    ours("hungry", lambda call: kept.append(held(megabytes)), lambda J: (kept.clear(), J)[1])
    ours("frugal", lambda call: held(1000))  # released before the path begins
    found = jaccheck.benchmark(*problem, paths=("plain", "hungry", "frugal"), seconds=BRIEFLY)
    in_torch = {name: cost.peak_bytes - cost.python_bytes for name, cost in found.costs.items()}
    assert in_torch["hungry"] == in_torch["plain"] + megabytes
    assert in_torch["frugal"] == in_torch["plain"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux grants what it doesn't have")
def test_a_path_that_asks_for_more_than_there_is_runs_out_of_memory(problem, ours):
    most = _memory._available()
    assert most is not None
    ours("huge", lambda call: held(2 * most))
    found = jaccheck.benchmark(*problem, paths=("huge", "autograd"), seconds=BRIEFLY)
    assert found.costs["huge"].status == "out of memory"
    assert found.fastest == Fastest("autograd")


# as text, as JSON and as a figure


def test_json_is_strict(problem, ours):
    ours("failing", raises(ValueError("not today")))
    found = jaccheck.benchmark(*problem, paths=("autograd", "failing"), seconds=BRIEFLY)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    data = json.loads(found.to_json(), parse_constant=refuse)
    assert data["format"] == 1
    assert data["ok"] is False
    assert list(data["costs"]) == ["autograd", "failing"]
    assert data["costs"]["failing"]["seconds"] is None
    assert data["costs"]["autograd"]["peak_bytes"] == found.costs["autograd"].peak_bytes
    assert data["fastest"]["path"] == "autograd"
    assert data["problem"]["N"] == 5


def made(**changes: object) -> Benchmark:
    from jaccheck._check import facts
    from jaccheck._problem import admit

    problem = admit(nn.Linear(2, 3), torch.ones(4, 2))
    costs = {
        "a": Cost("a", "agrees", None, Interval(2e-3, 1.5e-3, 3e-3), Interval(1.0, 1.0, 1.0), 175_000_000, 0),
        "b": Cost("b", "raised", "ValueError: two\nlines"),
        "c": Cost("c", "disagrees", "wrong", Interval(math.nan, 0.0, math.inf), Interval(0.5, 0.4, 0.6), 12, 0),
    }
    fields = {"base": "a", "fastest": Fastest("a"), "jacobian_bytes": 432, "write_seconds": None, "rounds": 6}
    return Benchmark(**{"costs": costs, "problem": facts(problem), "clock": "CPU", **fields, **changes})


def test_the_table():
    assert str(made(write_seconds=Interval(1.5e-7, 1e-7, 2e-7))).splitlines() == [
        "Jacobian [N C, P] = [4·3, 9], float32 on cpu: 432 B, written once in 150 ns",
        "  path  CPU                   ratio to a            peak    check",
        "  a     2.00 [1.50, 3.00] ms  1                     175 MB  agrees",
        "  b                                                         WRONG: raised",
        "  c     nan [0.00, inf] ns    0.500 [0.400, 0.600]  12.0 B  WRONG: disagrees",
        "  b: ValueError: two",
        "  b: lines",
        "  c: wrong",
        "Fastest correct path: a, the only one.",
        "Medians of 6 rounds [95 % interval of the noise within this run].",
    ]


def test_numbers_that_are_not_finite_are_strings_in_json():
    seconds = json.loads(made().to_json())["costs"]["c"]["seconds"]
    assert seconds == {"median": "NaN", "low": 0.0, "high": "Infinity", "confidence": 0.95}


def test_the_figure_shows_each_path_that_was_measured(tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "costs.png"
    drawn = made(write_seconds=Interval(1e-7, 1e-7, 2e-7)).plot(file)
    assert file.read_bytes().startswith(b"\x89PNG")
    left, right = drawn.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "c\n(disagrees)"]
    assert right.containers[0].lines[0].get_xdata()[0] == 175_000_000
    with pytest.raises(InvalidProblem, match="nothing to draw"):
        made(costs={"b": Cost("b", "raised", "no")}).plot()


@pytest.mark.parametrize("peaks", [(100_000, 100_000), (90_000, 110_000), (12_000, 900_000), (10, 175_000_000)])
def test_the_figures_axes_can_be_read(peaks):
    pytest.importorskip("matplotlib")
    costs = {
        str(i): Cost(str(i), "agrees", None, Interval(0.2e-3, 0.1e-3, 0.3e-3), None, peak, 0)
        for i, peak in enumerate(peaks)
    }
    drawn = made(costs=costs, jacobian_bytes=peaks[0]).plot()
    drawn.canvas.draw()
    for ax, unit in zip(drawn.axes, "sB", strict=True):
        low, high = ax.get_xlim()
        labels = [label for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high]
        assert len(labels) >= 3
        assert all(label.get_text().endswith(unit) for label in labels)
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


# the command line


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def good(): return torch.nn.Linear(2, 3), torch.ones(4, 2)\n"
        "def scalar(): return torch.nn.Linear(2, 1), torch.ones(1, 2)\n"
    )
    (tmp_path / "paths.py").write_text(
        "import jaccheck\n"
        "class Refusing:\n"
        "    name = 'refusing'\n"
        "    def jacobian(self, model, x): raise jaccheck.Unsupported('not this model')\n"
        "jaccheck.register_path(Refusing())\n"
    )
    yield tmp_path
    if "refusing" in jaccheck.paths():
        unregister_path("refusing")


def test_bench_shows_a_table_a_target(files, capsys):
    command = ["bench", "mine.py:good", "mine.py:scalar", "--path", "autograd", "--seconds", "1e-9"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out.count("Fastest correct path: autograd") == 2
    assert out.index("mine.py:good") < out.index("mine.py:scalar")
    assert err == ""
    assert main([*command, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert list(data) == ["mine.py:good", "mine.py:scalar"]
    assert_documented("bench", data)
    assert data["mine.py:good"]["problem"]["C"] == 3


def test_bench_draws(files, capsys):
    pytest.importorskip("matplotlib")
    command = ["bench", "mine.py:good", "--path", "autograd", "--seconds", "1e-9", "--plot"]
    assert main([*command, "costs.svg"]) == 0
    assert (files / "costs.svg").stat().st_size > 0
    assert main([*command, "no/costs.svg"]) == 2
    assert "can't write no/costs.svg" in capsys.readouterr().err
    assert main([*command, "costs.odd"]) == 2


def test_bench_of_a_wrong_path_exits_with_1(files, ours, capsys):
    ours("wrong", make=doubled)
    assert main(["bench", "mine.py:good", "--path", "wrong", "--path", "autograd", "--seconds", "1e-9"]) == 1
    assert "WRONG: disagrees" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("bench", "name a target to measure, or --sweep and none"),
        ("bench mine.py:god", "mine.py has no function 'god'; did you mean good?"),
        ("bench mine.py:good --path odd", "no path is called 'odd'"),
        ("bench mine.py:good --seconds 0", "seconds is 0.0, but should be a positive number"),
        ("bench mine.py:good mine.py:scalar --plot a.png", "--plot draws one target, but 2 are named"),
        (
            "bench mine.py:good --load paths.py --path refusing",
            "mine.py:good: no path can be measured: refusing: not this model",
        ),
    ],
)
def test_bad_input_is_one_line(files, capsys, arguments, says):
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("jaccheck: ")
    assert err.count("\n") == 1
    assert says in err
