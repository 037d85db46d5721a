"""kill -9 of the controller or of a worker at any moment: the campaign goes on and comes to the same.

``HYPOTHESIS_PROFILE=thorough`` kills twenty times.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.logread import counts
from jaccheck.fuzz.plan import Plan
from tests.planted import planted
from tests.processes import alive, workers_of
from tests.thorough import THOROUGH

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

KILLS = {"controller": 20, "worker": 20} if THOROUGH else {"controller": 1, "worker": 2}  # its successor starts slowly
NETWORKS = 900 if THOROUGH else 120
PATHS = """
import time
from jaccheck.paths import get, register_path

class Planted:
    name = "planted"

    def jacobian(self, model, x):
        time.sleep(0.02)
        return {name: j if len(x) < 5 else 2 * j for name, j in get("vmap_jacrev").jacobian(model, x).items()}

register_path(Planted())
"""


def doubled_for_many(model, x, J):
    return {name: j if len(x) < 5 else 2 * j for name, j in J.items()}


@pytest.fixture(scope="module")
def undisturbed():
    """The statuses that the networks get, by path."""
    paths = ("vmap_jacrev", "planted")
    plan = Plan(1, paths, ("enclosure",), ("float32",), ("cpu",), examples=NETWORKS, keep_going=True)
    with planted(doubled_for_many):
        return Campaign(plan).run()


def start(folder, *arguments):
    command = [sys.executable, "-c", "from jaccheck.cli import entry_point; entry_point()", "fuzz", "--workers", "2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, *arguments, "--json"], cwd=folder, text=True, env=env, **pipes)


def logged(file):
    if not Path(f"{file}-wal").exists():
        return 0
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return db.execute("SELECT count(*) FROM network").fetchone()[0]
    except sqlite3.Error:
        return 0
    finally:
        db.close()


@pytest.mark.parametrize("whom", ["controller", "worker"])
def test_after_kill_9_a_campaign_goes_on_and_comes_to_the_same(tmp_path, undisturbed, whom):
    chance = random.Random(whom)
    (tmp_path / "mine.py").write_text(PATHS)
    log = tmp_path / "log.db"
    new = "--seed 1 --path vmap_jacrev --path planted --property enclosure --dtype float32 --keep-going --load mine.py"
    running = start(tmp_path, *new.split(), "--examples", str(NETWORKS), "--log", str(log))
    kills = 0
    while kills < KILLS[whom]:
        enough = logged(log) + chance.randint(1, NETWORKS // (3 * KILLS[whom]) + 1)
        while running.poll() is None and logged(log) < enough:
            time.sleep(0.02)
        crew = workers_of(running.pid)
        assert running.poll() is None, "it is done before so many kills"
        if not crew:
            continue
        kills += 1
        if whom == "worker":
            os.kill(chance.choice(crew), signal.SIGKILL)
            continue
        before = logged(log)
        running.kill()
        running.communicate()
        assert logged(log) >= before
        end = time.monotonic() + 30
        while any(map(alive, crew)):
            assert time.monotonic() < end, "workers outlive the controller"
            time.sleep(0.05)
        running = start(tmp_path, "--resume", str(log))
    out, err = running.communicate(timeout=300)
    assert (running.returncode, err) == (1, "")
    said, found = json.loads(out), counts(log)
    db = sqlite3.connect(log)
    assert [index for (index,) in db.execute("SELECT id FROM network ORDER BY id")] == list(range(NETWORKS))
    db.close()
    assert said["networks"] == found["networks"] == NETWORKS
    assert said["checks"] == found["checks"] == undisturbed.checks
    assert {path: Counter(statuses) for path, statuses in found["verdicts"].items()} == undisturbed.verdicts
    kinds = Counter((finding["path"], finding["kind"]) for finding in found["findings"])
    assert kinds.pop(("planted", "value")) == 1
    assert set(kinds) <= ({("worker", "crashed")} if whom == "worker" else set())
    shown = sum(finding["again"] for finding in found["findings"] if finding["path"] == "planted")
    assert shown == sum(undisturbed.again.values())
    resumed = Log.resume(log)
    assert resumed.plan.examples == NETWORKS
    resumed.db.close()
