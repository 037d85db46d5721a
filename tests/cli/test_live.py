"""The view of a running campaign: what it shows, and that it says nothing it doesn't know."""

from collections import Counter

import pytest

from jaccheck import Network
from jaccheck._finding import Failure, Finding
from jaccheck.cli._live import Lines, View
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.summary import Summary

NETWORK = Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}]}')


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("jaccheck.cli._live.time.monotonic", lambda: now[0])
    return now


def campaign(**ends):
    plan = Plan(1, ("autograd", "batch_grad"), ("enclosure", "layout"), ("float32",), ("cpu",), **ends)
    summary = Summary(plan, networks=1000, seconds=50.0, crew=("exploring", "shrinking"), shrinking=12)
    summary.verdicts = {"autograd": Counter(agrees=990, known=10), "batch_grad": Counter(agrees=1000)}
    summary.properties = {"enclosure": Counter(agrees=2000), "layout": Counter(agrees=500, disagrees=1)}
    summary.known = Counter({"a-defect": 10})
    summary.features = Counter({"N = 0": 3, "ReLU": 400})
    summary.findings = [Finding(Failure("batch_grad", "layout", "value"), NETWORK, plan.paths)]
    return summary


def text_of(view):
    from rich.console import Console

    console = Console(width=160, color_system=None)
    with console.capture() as captured:
        console.print(view.render())
    return captured.get()


def seen(clock, summary, networks=(900, 1000), seconds=2.0):
    view = View(summary.plan)
    for number in networks:
        summary.networks = number
        view.note(summary)
        clock[0] += seconds
    return view


def test_it_shows_rate_counts_findings_workers_coverage_and_the_time_left(clock):
    shown = text_of(seen(clock, campaign(examples=2000)))
    assert "1,000 networks, 50.0/s, 2,000 path checks, 10 known, 1 found, 0:50, 0:20 left" in shown
    assert "properties: enclosure 2,000, layout 501" in shown
    assert "workers: exploring, shrinking (12 tried)" in shown
    assert "found: batch_grad: layout (value)" in shown
    assert "features: 2 of " in shown
    assert "rarest: " in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("autograd")] == [
        ["autograd", "990", "10", "0", "0", "0"]
    ]


def test_the_time_left_is_that_of_the_plan(clock):
    assert "0:50, 59:10 left" in text_of(seen(clock, campaign(seconds=3600)))
    assert "left" not in text_of(seen(clock, campaign()))


def test_the_rate_is_that_of_late(clock):
    view = seen(clock, campaign(examples=10**6), networks=(0, 1000, 1010, 1020), seconds=6.0)
    assert view.rate == pytest.approx(10 / 6)


def test_before_the_first_network_it_is_starting(clock):
    view = View(campaign(examples=10).plan)
    assert text_of(view) == "starting\n"


def test_without_a_terminal_there_is_a_line_a_minute(clock, capsys):
    summary = campaign(seconds=3600)
    lines = Lines(View(summary.plan))
    for _ in range(5):
        clock[0] += 25.0
        lines.note(summary)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("1,000 networks, 0.0/s, 2,000 path checks, 10 known, 1 found, 0:50, 59:10 left")
