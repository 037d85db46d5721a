"""`jaccheck fuzz` and `replay`: what they print, save and end with."""

import json
import os
import re
import shlex
import signal
import time
from collections import Counter

import pytest
import torch

from jaccheck._errors import InvalidProblem
from jaccheck._finding import Failure, Finding
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.cli import main
from jaccheck.cli._screen import show_summary
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.summary import Summary
from tests.cli.commands import ANSI, TWICE, program, refused
from tests.documented import assert_documented
from tests.planted import doubled, doubled_behind_tanh, planted

pytestmark = pytest.mark.usefixtures("folder")


def fuzz(capsys, arguments: str) -> tuple[int, str, str]:
    status = main(["fuzz", *shlex.split(arguments)])
    out, err = capsys.readouterr()
    return status, out, err


QUICK = "--seed 1 --path vmap_jacrev --dtype float32 --property enclosure --property state"


def test_fuzz_without_a_failure_exits_with_0_and_counts(capsys, folder):
    threads = torch.get_num_threads()
    status, out, err = fuzz(capsys, f"{QUICK} --examples 30")
    assert status == 0
    assert re.match(r"30 networks, \d+ path checks in [\d.]+ s; all networks tried; --seed 1 --examples 30\n", out)
    assert re.search(r"^  vmap_jacrev +\d+ +\d+ +0 +\d+ +\d+ +[<>\d]+ %$", out, re.MULTILINE)
    assert (err, ANSI in out) == ("", False)
    assert not (folder / "jaccheck-failures").exists()
    assert torch.get_num_threads() == threads


def test_what_the_time_was_spent_for_has_one_order(capsys):
    plan = Plan(1, ("autograd",), ("enclosure", "state", "sizes"), ("float32",), ("cpu",))
    show_summary(Summary(plan, spent={"shrinking": 1.0, "sizes": 2.0, "enclosure, state": 3.0}), [], [])
    assert "  time: enclosure, state 3.0 s; sizes 2.0 s; shrinking 1.0 s\n" in capsys.readouterr().out


def test_fuzz_shows_a_failure_saves_it_and_exits_with_1_and_replay_shows_it_again(capsys, folder):
    with planted(doubled_behind_tanh):
        status, out, err = fuzz(capsys, f"{QUICK} --path planted --load mine.py --examples 500 --save-dir found")
        assert (status, err) == (1, "")
        assert out.startswith("'planted' lies outside the enclosure of the Jacobian.\n")
        assert "a failure was found" in out
        assert "found: planted: enclosure (value)" in out
        (file,) = (folder / "found").glob("*.json")
        name = file.relative_to(folder)
        assert f"saved       {name}, see it again by: jaccheck replay {name} --load mine.py\n" in out
        assert main(["replay", str(file)]) == 1
        assert capsys.readouterr().out.startswith("'planted' lies outside the enclosure of the Jacobian.\n")
    assert "no path is called 'planted'" in refused(capsys, f"replay {shlex.quote(str(file))}")
    with planted(lambda model, x, J: J):
        assert main(["replay", str(file)]) == 0
    assert "paths agree" in capsys.readouterr().out


def test_a_failure_that_cannot_be_saved_is_shown_all_the_same(capsys, monkeypatch):
    def full(finding, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Finding, "save", full)
    with planted(doubled):
        status, out, err = fuzz(capsys, f"{QUICK} --path planted --examples 5")
        assert status == 1
        assert out.startswith("'planted' lies outside the enclosure of the Jacobian.\n")
        assert "  saved       nowhere: it can't be written\n" in out
        assert "can't write jaccheck-failures: No space left on device\n" in err
        _, out, _ = fuzz(capsys, f"{QUICK} --path planted --examples 5 --json")
    data = json.loads(out)
    assert_documented("fuzz", data)
    assert data["findings"][0]["file"] is None


def test_replay_of_a_known_defect_shows_it_and_writes_its_reproducer(capsys, folder):
    script = folder / "shown.py"
    assert main(["replay", "sqrt-ggn-relu-nan", "--reproducer", str(script)]) == 1
    out = capsys.readouterr().out
    assert "'sqrt_ggn_exact' lies outside the enclosure" in out
    assert "known       sqrt_ggn_exact: where the argument of a ReLU is NaN, BackPACK takes its derivative as 0" in out
    assert "backpack" in script.read_text()


def test_replay_of_a_file_that_names_an_unknown_network_field_says_which(capsys, folder):
    data = json.loads((folder / "failure.json").read_text())
    data["network"]["width"] = 3
    (folder / "failure.json").write_text(json.dumps(data))
    assert "failure.json: width is unknown" in refused(capsys, "replay failure.json")


def test_fuzz_json_is_alone_on_stdout_and_holds_the_failure(capsys, folder):
    with planted(doubled):
        status, out, err = fuzz(capsys, f"{QUICK} --path planted --examples 20 --keep-going --json")
    assert (status, err) == (1, "")
    assert out.count("\n") == 1
    data = json.loads(out)
    assert_documented("fuzz", data)
    assert (data["ok"], data["seed"], data["stopped"], data["networks"]) == (False, 1, "examples", 20)
    (finding,) = data["findings"]
    assert (finding["path"], finding["property"], finding["kind"]) == ("planted", "enclosure", "value")
    assert finding["again"] > 0
    assert Report.from_json(json.dumps(finding["report"])).verdicts["planted"].status == "disagrees"
    assert Network.from_json(json.dumps(finding["network"])).batch == 1
    assert Finding.from_json((folder / finding["file"]).read_text()).failure == Failure("planted", "enclosure", "value")
    assert sum(data["verdicts"]["planted"].values()) == data["checks"] // 2


def test_fuzz_stops_on_time(capsys):
    status, out, _ = fuzz(capsys, f"{QUICK} --seconds 1")
    assert status == 0
    assert "the time was up" in out


def test_a_known_defect_is_one_line_and_no_failure_unless_asked_for(capsys):
    autograd = "--seed 2 --path autograd --dtype float32 --property enclosure --examples 20"
    status, out, _ = fuzz(capsys, autograd)
    assert status == 0
    assert len(re.findall(r"^  known: autograd-other-sample-not-finite, \d+ networks?: ", out, re.MULTILINE)) == 1
    status, out, _ = fuzz(capsys, f"{autograd} --no-known")
    assert status == 1
    assert "found: autograd: enclosure (value)" in out


def test_an_interrupted_fuzz_ends_in_its_summary(capsys):
    calls = []

    def interrupted(model, x, J):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return J

    with planted(interrupted):
        status, out, _ = fuzz(capsys, f"{QUICK} --path planted --examples 500")
    assert status == 130
    assert re.match(r"\d+ networks, \d+ path checks in [\d.]+ s; interrupted; --seed 1", out)


@pytest.mark.long
def test_without_a_seed_the_one_taken_is_said_and_earlier_failures_come_first(capsys, folder):
    with planted(doubled_behind_tanh):
        arguments = QUICK.replace("--seed 1", "") + " --path planted --examples 500 --workers 1"
        assert fuzz(capsys, arguments)[0] == 1
        status, out, _ = fuzz(capsys, f"{arguments} --json")
    data = json.loads(out)
    assert status == 1
    assert data["networks"] < 10
    assert 0 <= data["seed"] < 2**32
    assert len(list((folder / "jaccheck-failures").glob("*.json"))) == 1


def test_a_fault_of_our_own_is_shown_with_its_traceback(capsys, monkeypatch, folder):
    def broken(network, paths, properties, **options):
        raise KeyError("oracle")

    monkeypatch.setattr("jaccheck.fuzz.checking.looked_up", broken)
    status, out, _ = fuzz(capsys, f"{QUICK} --examples 5")
    assert status == 1
    assert out.startswith("jaccheck itself raised KeyError: a fault of jaccheck's own.\nTraceback")
    assert len(list((folder / "jaccheck-failures").glob("jaccheck-KeyError-*.json"))) == 1


def test_networks_that_are_refused_are_shown(capsys, monkeypatch):
    def refusing(network, paths, properties, **options):
        raise InvalidProblem("not this one")

    monkeypatch.setattr("jaccheck.fuzz.checking.looked_up", refusing)
    status, out, _ = fuzz(capsys, f"{QUICK} --examples 5")
    assert status == 0
    assert "  refused: 5 networks: not this one\n" in out


def test_a_path_that_declines_all_networks_is_said_to_have_shown_nothing(capsys):
    summary = Summary(Plan(0, ("autograd", "batch_grad"), ("enclosure",), ("float32",), ("cpu",)))
    summary.verdicts = {"autograd": Counter(agrees=2, vacuous=1), "batch_grad": Counter(unsupported=2, vacuous=1)}
    show_summary(summary, [], [])
    out = capsys.readouterr().out
    assert "nothing is shown of batch_grad: it was judged on no network" in out
    assert "shown of autograd" not in out


@pytest.mark.parametrize("option", ["--database elsewhere", "--examples 3", "--keep-going"])
def test_what_a_log_has_settled_is_refused_when_it_goes_on(capsys, option):
    assert fuzz(capsys, f"{QUICK} --examples 2 --log night.db")[0] == 0
    assert refused(capsys, f"fuzz --resume night.db {option}") == (
        f"--resume goes on with the plan of night.db; leave out {option.split()[0]}"
    )


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_ends_in_a_summary_of_the_program(folder):
    marking = "from pathlib import Path\n" + TWICE.replace("return", "Path('started').touch()\n        return")
    (folder / "waiting.py").write_text(marking.replace("2 * j", "j"))
    arguments = ["--path", "twice", "--property", "state"]
    running = program("fuzz", "--seconds", "300", "--json", "--load", "waiting.py", *arguments)
    while not (folder / "started").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, "")
    assert json.loads(out)["stopped"] == "interrupted"


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_colours_and_the_progress_bar_are_for_terminals_alone():
    import pty

    reader, terminal = pty.openpty()
    arguments = ["fuzz", *shlex.split(QUICK.replace("vmap_jacrev", "batch_grad")), "--examples", "5", "--workers", "1"]
    with program(*arguments, stdout=terminal, stderr=terminal, stdin=terminal) as running:
        os.close(terminal)
        shown = b""
        while True:
            try:
                more = os.read(reader, 4096)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            shown += more
    os.close(reader)
    assert running.returncode == 0
    assert ANSI.encode() in shown
    assert b"5 networks" in shown
