"""A log holds every network and finding once, goes on after it was cut short, and refuses what is none."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from importlib.resources import files

import pytest

import jaccheck.fuzz.log
from jaccheck._finding import Failure, Finding
from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck.cli._screen import STOPPED
from jaccheck.exports.content import content_of
from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.database import opened
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.logfile import VERSION, LogFailure, reading
from jaccheck.fuzz.logread import counts
from jaccheck.fuzz.plan import Plan
from tests.planted import doubled, doubled_behind_tanh, leaving_gradients, planted

PLAN = Plan(
    seed=1, paths=("vmap_jacrev",), properties=("enclosure",), dtypes=("float32",), devices=("cpu",), examples=60
)


def logged(file, plan=PLAN, **changes):
    plan = replace(plan, **changes)
    log = Log.create(file, plan)
    summary = Campaign(plan, log=log).run()
    log.close(summary)
    return summary


def rows(file, query):
    with sqlite3.connect(file) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


def test_a_log_has_a_row_for_each_network_and_totals_that_fit_them(tmp_path):
    file = tmp_path / "log.db"
    summary = logged(file)
    assert rows(file, "SELECT id FROM network") == [(i,) for i in range(60)]
    by_path = {(path, status): number for path, status, number, *_ in rows(file, "SELECT * FROM path_total")}
    assert by_path == {(path, s): n for path, statuses in summary.verdicts.items() for s, n in statuses.items()}
    again = "SELECT path, status, count(*), sum(elements), sum(vacuous) FROM verdicts GROUP BY path, status"
    assert rows(file, again) == rows(file, "SELECT * FROM path_total")
    in_bits = "SELECT count(*) FROM network WHERE features >> (SELECT bit FROM feature WHERE name = 'N = 1') & 1"
    assert rows(file, in_bits) == [(summary.features["N = 1"],)]
    assert rows(file, "SELECT sum(networks) FROM feature WHERE name LIKE 'in float%'") == [(60,)]
    assert 0 < rows(file, "SELECT sum(networks) FROM sharpness")[0][0] <= 60
    found = counts(file)
    assert (found["networks"], found["checks"], found["findings"]) == (60, summary.checks, [])
    assert (found["ok"], found["stopped"], found["seed"]) == (True, "examples", 1)
    json.dumps(found, allow_nan=False)


def test_the_schema_says_what_is_written():
    schema = files("jaccheck.fuzz").joinpath("schema.sql").read_text(encoding="utf-8")
    stopped, events = (re.search(rf"{what}(.*)", schema)[1] for what in ("-- stopped", "what TEXT NOT NULL,  --"))
    assert re.findall(r'"(\w+)"', stopped) == list(STOPPED)
    assert re.findall(r"\w+(?=[,;]| \()", events) == ["started", "resumed", "crashed", "hung", "abandoned"]


def test_a_log_tells_which_networks_showed_a_known_defect(tmp_path):
    file = tmp_path / "log.db"
    summary = logged(file, paths=("autograd",), dtypes=("float64", "bfloat16"), examples=40, seed=4)
    assert summary.known
    assert counts(file)["known"] == summary.known
    showing = {number for (number,) in rows(file, "SELECT DISTINCT network FROM known")}
    assert showing == {number for (number,) in rows(file, "SELECT network FROM verdicts WHERE status = 'known'")}
    first = {name: (networks, number) for name, networks, number, _ in content_of(file).known}
    assert first == {
        name: (count, rows(file, f"SELECT min(network) FROM known WHERE defect = '{name}'")[0][0])
        for name, count in summary.known.items()
    }


def test_a_finding_is_logged_with_its_report_and_counted_where_it_shows_again(tmp_path):
    file = tmp_path / "log.db"
    with planted(lambda model, x, J: leaving_gradients(model, x, doubled_behind_tanh(model, x, J))) as path:
        summary = logged(file, paths=(path,), properties=("enclosure", "state"), keep_going=True, examples=12)
        log = Log.resume(file)
        again = Campaign(log.plan, log=log).run()
        log.close(again)
    assert {Failure(f["path"], f["property"], f["kind"]) for f in counts(file)["findings"]} == {
        Failure(path, "enclosure", "value"),
        Failure(path, "state", "state"),
    }
    assert again.findings == summary.findings
    assert again.again == summary.again
    assert [f.report.verdicts for f in again.findings] == [f.report.verdicts for f in summary.findings]
    assert rows(file, "SELECT count(*) FROM finding WHERE smallest AND reproducible") == [(2,)]


def test_a_finding_that_shows_again_on_an_earlier_network_is_counted_in_the_log_too(tmp_path):
    file, folder = tmp_path / "log.db", str(tmp_path / "examples")
    with planted(doubled) as path:
        failure = Failure(path, "enclosure", "value")
        for width in (1, 2):
            opened(folder).add(Finding(failure, Network((Linear(width),)), (path,)))
        plan = {"paths": (path,), "dtypes": ("float64",), "database": folder, "keep_going": True, "examples": 1}
        summary = logged(file, **plan)
    assert summary.replayed == 2
    assert summary.again[failure] > 0
    assert [found["again"] for found in counts(file)["findings"]] == list(summary.again.values())


def test_a_campaign_that_was_cut_short_goes_on_and_comes_to_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(jaccheck.fuzz.log, "EVERY", 0)  # each network at once, however fast they come
    file, whole = tmp_path / "log.db", tmp_path / "whole.db"
    expected = logged(whole)
    log = Log.create(file, PLAN)

    class Cut(Exception):
        pass

    def cut(summary):
        if summary.networks > 20:
            raise Cut

    with pytest.raises(Cut):
        Campaign(PLAN, log=log, watch=cut).run()
    log.db.close()
    done = counts(file)["networks"]
    log = Log.resume(file)
    resumed = Campaign(log.plan, log=log).run()
    log.close(resumed)
    assert 0 < done < 60
    assert rows(file, "SELECT id FROM network") == rows(whole, "SELECT id FROM network")
    assert resumed.verdicts == expected.verdicts
    assert resumed.features == expected.features
    assert resumed.spent.keys() == expected.spent.keys()
    assert counts(file)["verdicts"] == counts(whole)["verdicts"]
    assert counts(file)["events"]["started"] == 1


@pytest.fixture(scope="module")
def log_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("log") / "log.db"
    logged(file, examples=20)
    return file


def text(file):
    file.write_text("no database at all\n" * 100)


def empty(file):
    file.write_bytes(b"")


def cut_in_the_middle(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_in_the_head(file):
    file.write_bytes(file.read_bytes()[:50])


def of_another_program(file):
    file.unlink()
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE network (id)")
    db.close()


def of_a_newer_version(file):
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()


def overwritten(file):
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(bytes(data))


def without_a_plan(file):
    with sqlite3.connect(file) as db:
        db.execute("DELETE FROM meta")
    db.close()


def a_folder(file):
    file.unlink()
    file.mkdir()


def nothing(file):
    file.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (text, "is no log: it isn't SQLite"),
        (empty, "is empty, and no log"),
        (cut_in_the_middle, "is cut off: it has"),
        (cut_in_the_head, "is cut off after 50 bytes"),
        (of_another_program, "is an SQLite database, but no log of jaccheck"),
        (of_a_newer_version, f"has version {VERSION + 1}, but this jaccheck reads logs up to version {VERSION}"),
        (overwritten, "is damaged"),
        (without_a_plan, "is damaged"),
        (a_folder, "is no file"),
        (nothing, "there is no log"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line_and_left_as_it_was(log_file, tmp_path, spoil, said):
    file = tmp_path / "spoilt.db"
    shutil.copy(log_file, file)
    spoil(file)
    before = file.read_bytes() if file.is_file() else None
    for use in (lambda: Log.resume(file).plan, lambda: counts(file)):
        with pytest.raises(LogFailure, match=r"spoilt\.db") as refused:
            use()
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
    assert (file.read_bytes() if file.is_file() else None) == before
    assert [f.name for f in tmp_path.iterdir()] in ([], ["spoilt.db"])


def test_a_log_that_another_program_writes_into_is_refused(log_file, tmp_path, monkeypatch):
    monkeypatch.setattr("jaccheck.fuzz.logfile.PATIENCE", 0.1)
    file = tmp_path / "log.db"
    shutil.copy(log_file, file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogFailure, match=r"log\.db is locked"):
        Log.resume(file)
    assert counts(file)["networks"] == 20
    other.close()


def test_a_log_that_is_gone_on_with_while_it_is_read_is_read_as_it_is_then(log_file, tmp_path):
    file = tmp_path / "log.db"
    shutil.copy(log_file, file)
    with closing(reading(file)) as db:
        log = Log.resume(file)
        log.again(log.plan)
        log.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        log.db.close()
        assert db.execute("SELECT what FROM event ORDER BY id").fetchall() == [("started",), ("resumed",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM event")
    assert [f.name for f in tmp_path.iterdir()] == ["log.db"]


def test_a_new_log_takes_no_file_that_is_there(log_file, tmp_path):
    with pytest.raises(LogFailure, match="is there already"):
        Log.create(log_file, PLAN)
    with pytest.raises(LogFailure, match="unable to open"):
        Log.create(tmp_path / "no" / "log.db", PLAN)


def test_a_log_that_cant_be_written_any_more_ends_the_campaign_and_holds_what_it_held(tmp_path, monkeypatch):
    monkeypatch.setattr("jaccheck.fuzz.logfile.PATIENCE", 0.1)
    monkeypatch.setattr("jaccheck.fuzz.log.EVERY", 0.0)
    file = tmp_path / "log.db"
    log = Log.create(file, PLAN)
    other = sqlite3.connect(file, isolation_level=None)

    def lock(summary):
        if summary.networks > 20 and not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LogFailure, match=r"log\.db is locked: another program is writing into it"):
        Campaign(PLAN, log=log, watch=lock).run()
    other.close()
    log.db.close()
    held = counts(file)
    assert 0 < held["networks"] < 60
    assert held["checks"] == held["networks"]


@pytest.mark.long
def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("jaccheck.fuzz.log.EVERY", 0.0)  # so that it is soon full
    file = tmp_path / "log.db"
    log = Log.create(file, PLAN)
    pages = log.db.execute("PRAGMA page_count").fetchone()[0]
    log.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LogFailure, match=r"^can't write into .*log\.db: database or disk is full$"):
        Campaign(replace(PLAN, examples=200), log=log).run()
    log.db.close()
    Log.resume(file).db.close()
