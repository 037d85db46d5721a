"""Several workers do what one does, and a worker that dies or hangs is replaced, its network reported and kept."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from jaccheck._errors import InvalidProblem
from jaccheck._finding import Failure, Finding
from jaccheck._network import Network
from jaccheck.cli import main
from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.crew import Loss
from jaccheck.fuzz.drawing import drawn
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.plan import Plan, Slice
from jaccheck.fuzz.pool import hired
from jaccheck.fuzz.suspects import Suspect
from jaccheck.paths import paths, unregister_path
from tests.fuzz.deadly import SOURCE
from tests.test_report import SCHEMA, conforms

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and limits memory")

PLAN = Plan(
    seed=1,
    paths=("vmap_jacrev",),
    properties=("enclosure", "layout", "batching"),
    dtypes=("float32",),
    devices=("cpu",),
    examples=48,
)


@pytest.fixture
def deadly(tmp_path):
    file = tmp_path / "deadly.py"
    file.write_text(SOURCE)
    yield str(file)
    for path in ("segfaults", "leaves", "sleeps", "eats", "lives", "slow"):
        if path in paths():
            unregister_path(path)


def run(plan, workers=2, log=None, timeout=None, keep=lambda finding: None, **changes):
    plan = replace(plan, **changes)
    opened = None if log is None else Log.create(log, plan)
    with hired(workers, plan.load) as crew:
        summary = Campaign(plan, crew, log=opened, timeout=timeout, keep=keep).run()
    if opened is not None:
        opened.close(summary)
    return summary


def with_some(plan, layer, number):
    """The plan with a seed that gives `number` networks with that layer."""
    for seed in range(1000):
        networks = drawn(replace(plan, seed=seed), Slice(0, plan.examples, 0, plan.examples))
        if sum(any(type(m).__name__ == layer for m in n.build()[0].modules()) for n in networks) == number:
            return replace(plan, seed=seed)
    raise AssertionError


def rows(file, query):
    db = sqlite3.connect(file)
    found = db.execute(query).fetchall()
    db.close()
    return found


def test_any_number_of_workers_checks_the_same_networks_by_the_same_questions(tmp_path):
    question = "SELECT id, N, C, parameters, layers, features, property, outcome FROM networks ORDER BY id"
    log = Log.create(tmp_path / "one", PLAN)
    alone = Campaign(PLAN, log=log).run()
    log.close(alone)
    together = run(PLAN, 3, tmp_path / "three")
    assert rows(tmp_path / "three", question) == rows(tmp_path / "one", question)
    assert len(rows(tmp_path / "one", question)) == 48
    assert (together.verdicts, together.properties) == (alone.verdicts, alone.properties)
    assert len(rows(tmp_path / "three", "SELECT DISTINCT worker FROM network")) > 1


def test_a_worker_is_one_thread_on_one_core_and_deaf_to_ctrl_c():
    with hired(1, ()) as (worker,):
        pid = worker.start().result()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert len(os.sched_getaffinity(pid)) == 1
        assert int(status["SigIgn"], 16) >> 1 & 1


WHILE_THE_SERVER_IMPORTS_TORCH = """
import os, signal, threading
from jaccheck.fuzz.pool import hired

heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(True))
with hired(1, ()) as (worker,):
    threading.Timer(0.3, os.killpg, (0, signal.SIGINT)).start()
    worker.start().result()
assert heard
"""


@pytest.mark.long
def test_the_server_from_which_workers_are_forked_is_deaf_from_its_first_moment_on():
    python = [sys.executable, "-c", WHILE_THE_SERVER_IMPORTS_TORCH]
    ended = subprocess.run(python, capture_output=True, text=True, start_new_session=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


OF_ONES_OWN = """
import multiprocessing, signal
from jaccheck.fuzz.pool import hired

def blocked(_):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

if __name__ == "__main__":
    with hired(1, ()) as (worker,):
        worker.start().result()
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert pool.map(blocked, [0]) == [False]
"""


@pytest.mark.long
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="nothing is forked here")
def test_what_others_fork_from_that_server_hears_ctrl_c(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OF_ONES_OWN)
    ended = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("path", "layer", "kind", "said"),
    [
        ("segfaults", "Tanh", "crashed", "killed by SIGSEGV"),
        pytest.param("leaves", "Tanh", "crashed", "left with exit status 7", marks=pytest.mark.long),
        pytest.param("sleeps", "Mish", "hung", "in <lambda>", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_dies_or_hangs_is_replaced_and_the_rest_goes_on(
    deadly, tmp_path, path, layer, kind, said, capsys
):
    plan = replace(PLAN, paths=("lives", path), properties=("enclosure",), load=(deadly,), examples=24)
    plan = with_some(plan, layer, 1 if kind == "hung" else 2)
    log = tmp_path / "log"
    timeout = 4.0 if kind == "hung" else None
    summary = run(plan, log=log, timeout=timeout, keep=lambda finding: finding.save(tmp_path))
    (finding,) = summary.findings
    assert finding.failure == Failure(path, "process", kind)
    assert finding.reproducible
    assert said in finding.crash
    outcomes = Counter(dict(rows(log, "SELECT outcome, count(*) FROM networks GROUP BY outcome")))
    assert outcomes.total() == summary.networks == 24
    assert outcomes[kind] == 1 + summary.again[finding.failure] == (1 if kind == "hung" else 2)
    assert summary.verdicts["lives"]["agrees"] > 0
    assert rows(log, "SELECT path, property, kind, smallest FROM finding") == [(path, "process", kind, 1)]
    (file,) = tmp_path.glob(f"{path}-process-{kind}-*.json")
    assert Finding.from_json(file.read_text()) == finding
    assert main(["replay", str(file), "--load", deadly, "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert (again["ok"], again["path"], again["kind"]) == (False, path, kind)
    assert said in again["detail"]
    assert conforms(again, SCHEMA)


def test_a_path_that_eats_all_memory_is_found_and_the_rest_goes_on(deadly, tmp_path):
    plan = replace(PLAN, paths=("eats",), properties=("enclosure",), load=(deadly,), examples=24, keep_going=True)
    summary = run(plan, log=tmp_path / "log")
    assert summary.networks == 24
    (finding,) = summary.findings
    assert finding.failure.path == "eats"
    assert finding.failure.kind in ("raised", "crashed")
    assert summary.verdicts["eats"]["agrees"] > 0


def test_a_worker_that_died_with_nothing_to_do_is_lost_with_its_next_work():
    with hired(1, ()) as (worker,):
        pid = worker.start().result()
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while not isinstance(worker.submit(_nothing).exception(timeout=30), BrokenProcessPool):
            assert time.monotonic() < deadline
        for _ in range(2):  # the pool knows
            assert isinstance(worker.submit(_nothing).exception(timeout=30), BrokenProcessPool)
        assert "SIGKILL" in worker.loss().said


def test_a_path_whose_turn_has_come_when_the_time_is_up_is_not_accused(monkeypatch):
    campaign, suspect = Campaign(PLAN), Suspect(Loss("crashed", "gone"), Network(), None, PLAN.paths, whole=True)
    monkeypatch.setattr(campaign, "_submit", lambda worker, done, lost, *_: lost(Loss("abandoned", "no end in sight")))
    campaign._examine(0, suspect)
    (finding,) = campaign.summary.findings
    assert (finding.failure, finding.reproducible) == (Failure("worker", "process", "crashed"), False)


def _nothing(progress):
    pass


def test_a_worker_that_cant_load_its_modules_says_why(tmp_path):
    (tmp_path / "wrong.py").write_text("raise ValueError('not today')")
    with pytest.raises(InvalidProblem, match="raises ValueError: not today"):
        run(PLAN, load=(str(tmp_path / "wrong.py"),))


def test_a_worker_that_dies_at_the_start_is_not_replaced_for_ever(tmp_path):
    (tmp_path / "wrong.py").write_text("import os; os._exit(3)")
    with pytest.raises(InvalidProblem, match="no worker starts: the process left with exit status 3"):
        run(PLAN, 1, load=(str(tmp_path / "wrong.py"),))
