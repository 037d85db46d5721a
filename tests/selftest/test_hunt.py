"""Each fault of a sample is found, by whom it should be, and what is right is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from math import inf

import pytest
from torch import nn

from jaccheck import check, paths
from jaccheck._finding import FORWARD
from jaccheck.cli import main
from jaccheck.cli._interrupt import ctrl_c_heard
from jaccheck.properties import PROPERTIES
from jaccheck.selftest import score
from jaccheck.selftest.fault import Fault
from jaccheck.selftest.faults import bank, families
from jaccheck.selftest.hunt import Hunt, hunt
from jaccheck.selftest.patches import replaced
from jaccheck.selftest.score import Score
from jaccheck.selftest.wrong_paths import computed, right
from tests.documented import assert_documented
from tests.processes import alive, workers_of

FAR: dict[str, float] = {"budget": inf, "most": 500}  # by networks rather than by time: the same on any machine
# One of each family, soon found but for a few; and one that can't be seen.
SAMPLE = (
    "weights_lost_behind_an_exception",  # ambient
    "backpack_bias_by_weight",
    "second_sum",  # blocks
    "from_the_second_call_on",  # calls
    "sign_left_to_chance",  # chance
    "second_half_in_reverse",  # company
    "last_class_in_float64",  # dtypes
    "everywhere_weights_doubled",
    "frozen_ones_too",  # form
    "flattened_from_behind",  # forms
    "kept_by_all_but_settings",  # kept
    "raises_for_views",  # layout
    "first_samples_swapped",  # order
    "last_input_missing",  # parts
    "eight_units_off",  # precision
    "centred",  # reductions
    "leaky_slope_is_positive",  # regions
    "n_is_1_and_c_is_1",  # sizes
    "changes_the_class",  # state
    "kernel_leaky_default",  # torch_backward
    "kernel_relu_unstrided",  # likewise, and can't be seen
    "forward_samples_rolled",
    "magnitude",  # values
)
# For each property one that no other finds, or not so soon.
ALONE = {
    "enclosure": "per_million",
    "state": "leaves_a_backward_hook",
    "determinism": "noise",
    "exact": "one_ulp",
    "every_input": "sigmoid_wrong_in_a_narrow_gap",
    "sizes": "fan_out_is_256",
    "forms": "skip_detached",
    "batching": "nan_spreads_over_classes",
    "layout": "inputs_read_from_the_start",
    "sequence": "kept_by_the_model",
}


@pytest.mark.long
@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_is_found_and_nobody_else_accused(name):
    fault = bank()[name]
    found = hunt(fault, **(FAR if fault.equivalent is None else FAR | {"most": 12}))
    assert found.ok, found


def test_there_is_one_fault_of_each_family():
    assert {bank()[name].family for name in SAMPLE} == set(families())


def test_there_is_one_fault_for_each_property():
    assert ALONE.keys() == PROPERTIES.keys()


@pytest.mark.long
@pytest.mark.parametrize("law", ALONE)
def test_each_property_finds_faults_by_itself(law):
    found = hunt(bank()[ALONE[law]], seed=1 if law == "every_input" else 0, **FAR, properties=(law,))  # is soon found
    assert found.killed
    assert found.law == law
    assert law in found.by


def test_a_path_that_is_right_survives():
    found = hunt(computed("right", "nothing is wrong", right), budget=inf, most=12)
    assert not found.killed
    assert found.networks == 12


def test_the_network_of_a_kill_shows_it():
    fault = bank()["biases_missing"]
    found = hunt(fault, **FAR)
    with fault.inject():
        verdicts = check(*found.network.build(), paths=("autograd", fault.name), properties=(found.law,)).verdicts
    assert (verdicts["autograd"].status, verdicts[fault.name].status) == ("agrees", "disagrees")
    assert fault.name not in paths()


def halved(original):
    return lambda self, z: (
        original(self, z) * 1.0 if self.training is None else original(self, z * 0.5 + z.detach() * 0.5)
    )


@pytest.mark.long
def test_who_is_accused_beside_those_at_fault_is_seen():
    """Tanh's derivative is half in torch: BatchGrad goes through it as well."""
    place = (nn.Tanh, "forward", halved)
    found = hunt(replaced("halved", "Tanh' is half", ("autograd",), place), seed=1, **FAR)  # BatchGrad takes that one
    assert found.killed
    assert found.misjudged == ("batch_grad",)
    assert not found.ok


@pytest.mark.long
def test_a_wrong_forward_pass_is_the_finding():
    found = hunt(bank()["forward_linear_scaled"], seed=2, **FAR)
    assert found.ok
    assert found.law == FORWARD
    assert found.by == (FORWARD,)
    assert Score(0, 1.0, [found]).by_property()[FORWARD] == (1, 1, 1)


def score_of(**laws: str | None) -> Score:
    faults = {name: Fault(name, "wrong", bank()["sign"].inject, (name,)) for name in laws}
    by = {law: (law,) if law else () for law in laws.values()}
    return Score(0, 1.0, [Hunt(faults[name], 3, 0.5, law, None, by[law]) for name, law in laws.items()])


def test_a_score_counts_and_names():
    found = score_of(a="enclosure", b="enclosure", c="state", d=None)
    assert not found.ok
    assert found.by_property()["enclosure"] == (2, 2, 2)
    assert found.data()["survivors"] == ["d"]
    assert "3 of 4 faults found, 75.0 %" in str(found)
    assert "survived: d (wrong), 3 networks, 0.5 s" in str(found)
    assert score_of(a="enclosure").ok


def test_the_command_gives_the_score(capsys):
    assert main(["selftest", "--fault", "sign", "--fault", "leaves_grad", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["faults"], data["killed"], data["survivors"]) == (2, 2, [])
    assert_documented("selftest", data)
    assert {row["fault"]: row["property"] for row in data["hunts"]} == {"sign": "enclosure", "leaves_grad": "state"}


def test_one_property_may_be_asked_alone(capsys):
    options = ["selftest", "--fault", "sign", "--fault", "leaves_grad", "--budget", "0.1", "--property", "state"]
    assert main([*options, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["killed"], data["survivors"]) == (1, ["sign"])
    assert data["properties"] == {"state": {"first": 1, "sees": 1, "alone": 1}}


def test_ctrl_c_ends_in_the_faults_that_were_looked_for(capsys, monkeypatch):
    found = hunt(bank()["leaves_grad"], **FAR, properties=("state",))
    hunts = iter([found])
    monkeypatch.setattr(score, "hunt", lambda *_, **__: next(hunts, None) or interrupt())
    options = ["selftest", "--fault", "sign", "--fault", "leaves_grad", "--json"]
    assert main(options) == 130
    data = json.loads(capsys.readouterr().out)
    assert (data["faults"], data["interrupted"]) == (1, True)
    assert_documented("selftest", data)
    assert main(options) == 130  # before the first
    assert capsys.readouterr() == ("", "jaccheck: interrupted\n")


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_are_gone_with_the_process_that_started_them():
    faults = ["--fault", "models_kept", "--fault", "kept_by_weights"]
    command = [sys.executable, "-m", "jaccheck", "selftest", "--workers", "2", "--budget", "100", *faults]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        until(lambda: len(workers_of(running.pid)) == 2)
        workers = workers_of(running.pid)
        running.kill()
    until(lambda: not any(map(alive, workers)))


def until(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def test_workers_find_the_same(capsys):
    options = ["selftest", "--fault", "leaves_grad", "--fault", "forward_linear_scaled", "--json"]
    options += ["--property", "enclosure", "--property", "state"]
    assert main([*options, "--workers", "2"]) == 0
    parallel = json.loads(capsys.readouterr().out)
    assert main(options) == 0
    alone = json.loads(capsys.readouterr().out)
    for row in (*parallel["hunts"], *alone["hunts"]):
        del row["seconds"]
    assert parallel["hunts"] == alone["hunts"]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are POSIX's")
def test_ctrl_c_doesnt_wait_for_workers(monkeypatch):
    monkeypatch.setattr(score, "_in_a_worker", partial(max, key=time.sleep))  # of the job below
    monkeypatch.setattr(score, "bank", lambda: {60: bank()["sign"]})
    start = time.monotonic()
    timer = threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt), ctrl_c_heard():
        list(score._hunts([(60, 0, 0, 0)], 2))
    assert time.monotonic() - start < 30


def test_a_survivor_shows_in_the_exit_status(capsys):
    assert main(["selftest", "--fault", "n_is_257", "--budget", "0.001"]) == 1
    captured = capsys.readouterr()
    assert "survived: n_is_257 (twice the right value for N = 257)" in captured.out
    assert "SURVIVED" in captured.err


@pytest.mark.parametrize(
    "options", [["--sample", "0"], ["--budget", "0"], ["--seed", "-1"], ["--workers", "0"], ["--fault", "no such"]]
)
def test_bad_usage_is_refused(options, capsys):
    assert main(["selftest", *options]) == 2
    assert "jaccheck: " in capsys.readouterr().err
