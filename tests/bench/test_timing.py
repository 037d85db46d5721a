"""Rounds, clocks and intervals. How long anything takes is asserted nowhere."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import comb

import pytest
import torch
from torch import Tensor

from jaccheck.bench import timing as _timing
from jaccheck.bench.timing import FEWEST, Caller, Interval, Writer, clock, interval, rounds

CPU = torch.device("cpu")
BRIEFLY = 1e-9  # seconds: the fewest rounds


@pytest.mark.parametrize("n", [6, 7, 9, 17, 100, 1001])
def test_interval_is_the_narrowest_with_95_percent(n):
    found = interval([*range(n)])
    assert found.median == (n - 1) / 2
    below = found.low  # values before it
    assert found.high == n - 1 - below
    assert 20 * 2 * sum(comb(n, i) for i in range(below + 1)) <= 2**n  # the median is outside
    assert 20 * 2 * sum(comb(n, i) for i in range(below + 2)) > 2**n  # one value narrower


def test_interval_covers_the_median_of_coin_tosses():
    """By all 2^8 outcomes of 8 values, each below or above the true median with equal chance."""
    outside = 0
    for signs in product((-1, 1), repeat=8):
        found = interval([sign * (1 + 0.1 * i) for i, sign in enumerate(signs)])
        outside += not found.low <= 0 <= found.high
    assert outside / 2**8 <= 0.05


@pytest.mark.parametrize("n", [1, 2, 5])
def test_of_fewer_than_six_values_the_interval_is_all_and_holds_the_median_less_often(n):
    assert interval([*range(n)]) == Interval((n - 1) / 2, 0, n - 1, 1 - 2 / 2**n)


class Counter:
    """A runner whose n-th turn takes n seconds, by its own account."""

    def __init__(self, name: str, log: list[str], last: int | None = None) -> None:
        self.name, self.log, self.last, self.turns = name, log, last, 0

    def turn(self) -> float:
        self.log.append(self.name)
        self.turns += 1
        if self.turns == self.last:
            raise ValueError(self.name)
        return float(self.turns)


def test_rounds_are_shuffled_and_have_each_runner_once():
    log: list[str] = []
    taken, raised = rounds({name: Counter(name, log) for name in "abcd"}, BRIEFLY)
    turns = ["".join(log[i : i + 4]) for i in range(0, len(log), 4)]
    assert len(turns) == FEWEST
    assert all(sorted(turn) == [*"abcd"] for turn in turns)
    assert len(set(turns)) > 1
    assert taken == {name: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] for name in "abcd"}
    assert not raised


def test_a_runner_that_raises_leaves_the_rounds():
    log: list[str] = []
    taken, raised = rounds({"a": Counter("a", log, last=3), "b": Counter("b", log)}, BRIEFLY)
    assert list(taken) == ["b"]
    assert len(taken["b"]) == FEWEST
    assert log.count("a") == 3
    assert str(raised["a"]) == "a"
    assert rounds({"a": Counter("a", log, last=1)}, 1e9)[0] == {}  # and nobody is left


def test_rounds_go_on_until_the_time_is_up(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(_timing.time, "monotonic", lambda: next(now))
    taken, _ = rounds({"a": Counter("a", [])}, 20)
    assert FEWEST < len(taken["a"]) <= 26


@pytest.mark.parametrize(("seconds", "calls"), [(1e-4, 3), (2e-3, 3), (4e-3, 2), (1.0, 1), (0.0, 3)])
def test_each_timed_call_is_warmed_up_and_what_a_turn_changes_put_back(seconds, calls):
    log: list[str] = []

    def watch(call: Callable[[], object]) -> float:
        call()
        log.append("time")
        return seconds

    caller = Caller(lambda: log.append("call"), lambda: log.append("restore"), watch)
    assert caller.turn() == seconds
    assert log == ["call", "time"] * 2 + ["restore"]  # how long it takes isn't known yet
    log.clear()
    caller.turn()
    assert log == ["call", "time"] * (calls + 1) + ["restore"]
    assert caller.inside == seconds * (calls + 3)


def test_what_a_call_that_raises_has_changed_is_put_back():
    log: list[str] = []
    name, watch = clock(CPU)
    assert name == "thread CPU time"
    with pytest.raises(ZeroDivisionError):
        Caller(lambda: 1 / 0, lambda: log.append("restore"), watch).turn()
    assert log == ["restore"]


def test_the_clock_stands_while_the_thread_sleeps(monkeypatch):
    now = iter((5.0, 7.5))
    monkeypatch.setattr(_timing.time, "thread_time", lambda: next(now))
    assert clock(CPU)[1](lambda: None) == 2.5


def test_the_limit_is_writing_as_many_bytes_once():
    written: list[object] = []

    def watch(call: Callable[[], object]) -> float:
        written.append(call())
        return 1.0

    assert Writer(1000, CPU, watch).turn() == 1.0
    (memory,) = written
    assert isinstance(memory, Tensor)
    assert memory.shape == (1000,)
    assert bool((memory == 2).all())
