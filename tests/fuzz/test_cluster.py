"""Failures are shared through a real Redis server, and a real Dask cluster does what one process does."""

import gc
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import replace

import pytest

from jaccheck._errors import InvalidProblem
from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.database import opened
from jaccheck.fuzz.plan import Plan
from tests.planted import doubled_behind_tanh, planted

PLAN = Plan(
    seed=1, paths=("vmap_jacrev",), properties=("enclosure",), dtypes=("float32",), devices=("cpu",), examples=60
)


@pytest.fixture(scope="module")
def redis_address():
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
        running.terminate()


def test_a_failure_that_one_machine_finds_is_tried_first_by_another(redis_address):
    plan = replace(PLAN, database=redis_address, examples=300)
    with planted(doubled_behind_tanh) as path:
        first = Campaign(replace(plan, paths=(path,))).run()
        second = Campaign(replace(plan, paths=(path,), seed=2)).run()
    assert second.findings == first.findings
    assert (second.networks, second.replayed) == (0, 1)


def test_a_failure_that_shows_no_more_is_forgotten(redis_address):
    with planted(lambda model, x, J: J) as path:
        summary = Campaign(replace(PLAN, paths=(path,), database=redis_address, examples=5)).run()
    assert summary.ok
    assert summary.replayed == 1
    with closing(opened(redis_address)) as database:
        assert database.findings() == {}


def test_a_server_that_isnt_there_is_said_in_one_line():
    pytest.importorskip("redis")
    with pytest.raises(InvalidProblem, match=r"can't reach redis://127\.0\.0\.1:1/0: .*refused"):
        Campaign(replace(PLAN, database="redis://127.0.0.1:1/0"))


@pytest.mark.long
def test_a_dask_cluster_comes_to_the_same_though_a_worker_is_killed():
    distributed = pytest.importorskip("distributed")
    from jaccheck.fuzz.cluster import reached

    alone = Campaign(PLAN).run()
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    )
    with cluster:
        killed = []

        def kill(summary):
            if summary.networks > 10 and not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        with reached(cluster.scheduler_address, None, ()) as crew:
            assert len(crew) == 2
            summary = Campaign(PLAN, crew, watch=kill).run()
    assert killed
    assert summary.stopped == "examples"
    assert summary.networks == 60
    assert summary.verdicts == alone.verdicts
    assert summary.ok


def test_a_scheduler_that_isnt_there_is_said_in_one_line(monkeypatch):
    pytest.importorskip("distributed")
    from jaccheck.fuzz import cluster

    monkeypatch.setattr(cluster, "WAIT", 1.0)
    with (
        pytest.raises(InvalidProblem, match=r"there is no Dask scheduler at tcp://127\.0\.0\.1:1"),
        cluster.reached("tcp://127.0.0.1:1", None, ()),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "says"), [("nonsense", "missing port number"), ("odd://there:1", "unknown address scheme 'odd'")]
)
def test_what_is_no_address_is_said_at_once(address, says):
    pytest.importorskip("distributed")
    from jaccheck.fuzz import cluster

    start = time.monotonic()
    with pytest.raises(InvalidProblem, match=f"there is no Dask scheduler at {address}: {says}"):
        cluster.reached(address, None, ()).__enter__()
    gc.collect()
    assert time.monotonic() - start < 30
