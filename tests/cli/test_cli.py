"""The command line: what it prints, where, and with which exit status."""

import gc
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from jaccheck._finding import PROCESS, Failure, Finding
from jaccheck._network import Network
from jaccheck._report import Report, Verdict
from jaccheck.cli import main
from jaccheck.cli._app import AGREEMENT, BAD_USAGE, DISAGREEMENT, INTERRUPTED, UNREAD
from jaccheck.defects.register import register
from jaccheck.paths import unregister_path
from jaccheck.properties import PROPERTIES
from jaccheck.selftest.faults import bank
from tests.cli.commands import ANSI, MINE, TWICE, program, refused
from tests.source import ROOT
from tests.test_report import SCHEMA, conforms

pytestmark = pytest.mark.usefixtures("folder")

FLAT_OF_NONE = '{"format": 1, "layers": [{"kind": "Flatten"}, {"kind": "Linear"}], "batch": 0, "inputs": [1, 1]}'
LONG = 300 * "x"  # longer than a file's name may be


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        # the command line itself
        ("", "a command is missing: example, check, bench"),
        ("odd", "No such command 'odd'"),
        ("--odd", "No such option: --odd"),
        ("example extra", "unexpected extra argument"),
        ("check", "Missing argument"),
        ("check network.json --path", "requires an argument"),
        # targets
        ("check what", "a target should be network.json, file.py:function or module:function, but is 'what'"),
        ("check no.json", "can't read no.json: No such file or directory"),
        ("check folder.json", "can't read folder.json: Is a directory"),
        ("check latin.json", "can't read latin.json: it is no UTF-8 text"),
        ("check broken.json", "broken.json: a network is not valid JSON"),
        ("check list.json", "list.json: a network is [1], but should be a JSON object"),
        ("check newer.json", "newer.json: format is 99"),
        ("check other.json", 'other.json: this is no network, since it has no format; one begins {"format": 1, …}'),
        ("check negative.json", "negative.json: batch is -1"),
        ("check frozen.json", "no parameter of the model requires grad; call model.requires_grad_() first"),
        ("check failure.json", "failure.json is a saved failure; use: jaccheck replay failure.json"),
        ("check ''", "a target should be network.json, file.py:function or module:function, but is ''"),
        (f"check {LONG}", f"a target should be network.json, file.py:function or module:function, but is '{LONG}'"),
        (f"check {LONG}.json", ".json: File name too long"),
        (f"check {LONG}.py:f", ".py: File name too long"),
        ("check 'a\0b.json'", "embedded null byte"),
        ("check no.py:good", "can't read no.py: No such file or directory"),
        ("check mine.py", "mine.py needs the name of a function that returns (model, x): mine.py:function"),
        ("check mine.py:god", "mine.py has no function 'god'; did you mean good?"),
        ("check mine.py:Box.bad", "mine.py has no function 'Box.bad'"),
        ("check mine.py:", "mine.py has no function ''"),
        ("check mine.py:number", "mine.py:number is an int, but should be a function"),
        ("check mine.py:model_alone", "mine.py:model_alone returns a Linear, but should return (model, x)"),
        ("check mine.py:three", "mine.py:three returns 3 values, but should return (model, x)"),
        (
            "check mine.py:strings",
            "mine.py:strings returns (str, str), but should return (model, x), a torch",
        ),
        ("check mine.py:raising", "mine.py:raising raises RuntimeError: on two lines ("),
        ("check mine.py:exiting", "mine.py:exiting raises SystemExit: 3 ("),
        (
            "check mine.py:asking",
            "mine.py:asking raises TypeError: asking() missing 1 required",
        ),
        ("check mine.py:later", "mine.py:later returns a coroutine, but should return (model, x)"),
        ("check mine.py:unfit", "x is complex64, but should be one of float64, float32, float16, bfloat16"),
        ("check mine.py:unflattened", "f(x) has shape [4, 5, 2], but should be [N, C]; append torch.nn.Flatten()"),
        (
            "check importing.py:f",
            "importing.py raises ModuleNotFoundError: No module named 'there_is_no_such_module' (",
        ),
        ("check importing:f", "importing raises ModuleNotFoundError: No module named 'there_is_no_such_module' ("),
        ("check syntax.py:f", "syntax.py raises SyntaxError"),
        ("check there_is_none:f", "there is no module 'there_is_none' here; for a file write file.py:function"),
        ("check package.none:f", "there is no module 'package.none' here"),
        ("check a/b:f", "'a/b' is no module; a target should be"),
        ("check :f", "'' is no module; a target should be"),
        # names
        ("check network.json --path autogard", "no path is called 'autogard'"),
        ("check network.json --property enclosur", "no property is called 'enclosur', the properties are enclosure"),
        ("check network.json --load no.py", "can't read no.py"),
        ("check network.json --load none", "there is no module 'none' here; for a file write file.py\n"),
        ("check network.json --load mine.py:good", "'mine.py:good' is no module; --load takes file.py or module\n"),
        ("check network.json --load folder", "'folder' is a folder without __init__.py, and no module"),
        ("fuzz --path autogard", "did you mean 'autograd'?"),
        ("fuzz --property stat", "did you mean state?"),
        (
            "fuzz --property sequence:deepcopy",
            "--property is sequence:deepcopy, but here it takes no argument; use sequence, or jaccheck check\n",
        ),
        ("fuzz --dtype float", "there is no dtype 'float' here, but: float64, float32, float16, bfloat16"),
        ("fuzz --device gpu", "there is no device 'gpu' here, but: cpu"),
        ("fuzz --device cuda:99", "there is no device 'cuda:99' here, but: cpu"),
        # numbers
        ("fuzz --seconds 0", "--seconds is 0.0, but should be more than 0"),
        ("fuzz --seconds nan", "--seconds is nan, but should be more than 0"),
        ("fuzz --seconds soon", "'--seconds'"),
        ("fuzz --examples 0", "--examples is 0, but should be at least 1"),
        ("fuzz --examples 1.5", "'--examples'"),
        *(
            (f"{work} --seed {seed}", f"--seed is {seed}, but should be from 0 to 2**63 - 1\n")
            for work in ("check network.json", "fuzz", "bench --sweep", "selftest", "tolerances")
            for seed in (-1, 2**63)
        ),
        ("fuzz --timeout 0", "--timeout is 0.0, but should be more than 0"),
        ("fuzz --workers 0", "--workers is 0"),
        ("fuzz --workers 100000", "--workers is 100000, but should be from 1 to 1,024"),
        ("bench mine.py:dropping", "in '1' (Dropout); call model.eval() first\n"),
        ("bench mine.py:noisy", "random numbers that its forward pass draws; draw them beforehand\n"),
        ("bench network.json --problems 3", "--problems is for --sweep alone; leave it out"),
        ("bench network.json --seed 3", "--seed is for --sweep alone; leave it out"),
        ("bench --sweep --seconds 3", "--seconds is for targets alone; leave it out"),
        # files to write and to replay
        ("fuzz --save-dir a_file", "--save-dir is a_file, but can't be written to: it is a file"),
        ("fuzz --save-dir a_file/deeper", "but can't be written to: Not a directory"),
        (f"fuzz --save-dir new/{LONG}", "but can't be written to: File name too long"),
        ("fuzz --database a_file", "--database is a_file, but can't be written to: it is a file"),
        ("fuzz --database a_file/deeper", "but can't be written to: Not a directory"),
        *(
            (f"{work} no/folder/x.png", "can't write no/folder/x.png: No such file or directory")
            for work in (
                "example --plot",
                "check known.json --plot",
                "check known.json --reproducer",
                "replay failure.json --reproducer",
                "bench network.json --plot",
                "bench --sweep --plot",
                "atlas --plot",
                "tolerances --plot",
                "report log.db --html",
                "report log.db --junit",
                "report log.db --csv",
            )
        ),
        ("check mine.py:raising --plot no/folder/x.png", "can't write no/folder/x.png"),  # before it is called
        ("check mine.py:raising --reproducer package", "can't write package: Is a directory"),
        ("example --plot x.odd", "can't draw into 'x.odd': Format 'odd' is not supported"),
        ("example --plot a_picture", "can't draw into 'a_picture': its suffix should say the format, as in .png"),
        ("example --plot package", "can't write package: Is a directory"),
        (f"record {LONG}", f"can't write {LONG}: File name too long"),
        ("replay no.json", "can't read no.json: No such file or directory"),
        ("replay folder.json", "can't read folder.json: Is a directory"),
        ("replay broken.json", "broken.json: a saved failure should be JSON"),
        ("replay list.json", "list.json: a saved failure should be a JSON object"),
        ("replay other.json", "other.json: this is no saved failure, since it has no format"),
        ("replay newer.json", "newer.json: format is 99, but a saved failure has format 1"),
        ("replay network.json", "network.json: this is a network and no saved failure; use: jaccheck check"),
    ],
)
def test_bad_usage_and_bad_input_exit_with_2_and_one_line_that_says_what_to_do(capsys, arguments, says):
    assert says in refused(capsys, arguments) + "\n"


def test_trying_whether_a_file_can_be_written_leaves_no_trace(capsys, folder):
    before = {file: file.stat() for file in folder.rglob("*")}
    for options in ("--save-dir new/folder --database a_file", "--save-dir package --database a_file"):
        refused(capsys, f"fuzz {options}")
    for options in ("--plot new.png --seed 1", "--reproducer network.json --seed -1"):
        refused(capsys, f"check mine.py:unfit {options}")
    made = {file for file in folder.rglob("*") if "__pycache__" not in file.parts and file not in before}
    assert made == set()
    for file in folder.glob("*.json"):
        assert (file.stat().st_size, file.stat().st_mtime) == (before[file].st_size, before[file].st_mtime)


def test_what_cannot_be_written_in_the_end_loses_no_result(capsys, folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert main(shlex.split("check known.json --json --plot a.png")) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["known"]
    assert err == "jaccheck: can't write a.png: No space left on device\n"
    monkeypatch.setattr("pathlib.Path.write_text", full)
    assert main(shlex.split("check known.json --reproducer a.py")) == 1
    assert "  script      none: can't write a.py: No space left on device\n" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", ["--help", "example --help", "check -h", "fuzz --help", "replay --help"])
def test_help_is_no_error(capsys, arguments):
    assert main(shlex.split(arguments)) == 0
    out, err = capsys.readouterr()
    assert "Usage: jaccheck" in out
    assert err == ""


@pytest.mark.parametrize("command", ["", "fuzz", "bench"])
def test_a_flag_takes_no_value_in_the_help(capsys, command):
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"--help  +-h  +Show|-h, --help  +Show", out)
    assert not re.search("bool", out, re.IGNORECASE)


def test_the_help_and_the_readme_say_each_exit_status_in_the_same_words(capsys):
    assert main(["--help"]) == 0
    for text in (capsys.readouterr().out, (ROOT / "README.md").read_text(encoding="utf-8")):
        said = " ".join(text.partition("Exit status: ")[2].split())
        assert said.startswith(
            f"{AGREEMENT} all agree, or nothing can be said of those that don't, {DISAGREEMENT} a disagreement, "
            f"{BAD_USAGE} bad usage or input, {INTERRUPTED} interrupted before any was found, {UNREAD} where nobody "
            "reads what it prints any more. What record keeps and tolerances counts makes no difference to it."
        )


def test_the_versions_are_said(capsys):
    assert main(["--version"]) == 0
    assert f"torch {torch.__version__}" in capsys.readouterr().out


def test_the_example_agrees_with_one_line_for_each_path(capsys):
    assert main(["example"]) == 0
    out, err = capsys.readouterr()
    for path in ("autograd", "batch_grad", "sqrt_ggn_exact"):
        assert re.search(rf"^  {path} +agrees +\d\.\de-\d+ +0 +[\d.]+$", out, re.MULTILINE)
    assert "N=15, C=5, 117 entries" in out
    assert (err, ANSI in out) == ("", False)


def test_the_example_is_drawn(capsys, folder):
    assert main(["example", "--plot", "example.png"]) == 0
    assert (folder / "example.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "target",
    [
        "network.json",
        "mine.py:good",
        "mine.py:as_list",
        "mine.py:Box.good",
        "mine:good",
        "package.inner:good",
        "package/inner.py:good",
        "'my mine.py:good'",
    ],
)
def test_a_good_target_agrees_and_says_how_to_check_it_again(capsys, target):
    assert main(["check", *shlex.split(target)]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("3 paths agree")
    assert f"again       jaccheck check {target}" in out


def test_check_takes_paths_and_properties_and_repeats(capsys):
    assert main(shlex.split("check network.json --path all --property determinism --repeat --json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["verdicts"]) == 6
    assert {verdict["property"] for verdict in report["verdicts"].values()} == {"determinism"}
    assert report["again"] == "jaccheck check network.json --path all --property determinism --repeat"


def test_check_takes_the_steps_of_a_sequence(capsys):
    again = "check network.json --property sequence:deepcopy,update"
    assert main([*shlex.split(again), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {verdict["property"] for verdict in report["verdicts"].values()} == {"sequence"}
    assert report["again"] == f"jaccheck {again}"
    assert "'jump'" in refused(capsys, "check network.json --property sequence:jump")


def test_a_model_without_enclosure_is_vacuous_and_says_why(capsys):
    assert main(["check", "mine.py:without_enclosure"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 paths are vacuous")
    assert out.count("40 of 40 (100 %)") == out.count("no enclosure for Conv2d") == 3
    assert out.count("largest difference to the other paths") == 3


def test_a_path_of_ones_own_is_loaded_and_a_disagreement_exits_with_1(capsys):
    try:
        assert main(shlex.split("check mine.py:good --load twice.py --path autograd --path twice")) == 1
    finally:
        unregister_path("twice")
    out, err = capsys.readouterr()
    assert out.startswith("'twice' lies outside the enclosure of the Jacobian.\n")
    assert "again       jaccheck check mine.py:good --path autograd --path twice --load twice.py" in out
    assert err == ""


def test_a_file_that_is_named_twice_is_run_once(capsys, folder):
    (folder / "both.py").write_text(MINE + TWICE)
    try:
        assert main(shlex.split("check both.py:good --load both.py --path twice")) == 1
    finally:
        unregister_path("twice")
    assert capsys.readouterr().err == ""


LOUD = """
import ctypes, os, sys
import torch

print("import")
sys.__stdout__.write("another name\\n")


class Loud(torch.nn.Linear):
    def forward(self, x):
        print("forward")
        os.write(1, b"number\\n")
        ctypes.CDLL(None).puts(b"C")
        return super().forward(x)


def make():
    print("function")
    return Loud(3, 2), torch.ones(4, 3)
"""


def test_json_is_alone_where_the_users_code_prints(capsys, folder):
    (folder / "loud.py").write_text(LOUD)
    assert main(["check", "loud.py:make", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["verdicts"]
    assert {"import", "function", "forward"} <= set(err.splitlines())
    with program("check", "loud.py:make", "--json") as running:
        out, err = running.communicate(timeout=60)
    assert json.loads(out)["verdicts"]
    assert {"import", "function", "forward", "another name"} <= set(err.splitlines())
    assert os.name == "nt" or {"number", "C"} <= set(err.splitlines())


@pytest.mark.parametrize(
    "command",
    ["example >&-", pytest.param("fuzz --seed 1 --examples 2 --workers 2 >&- 2>&-", marks=pytest.mark.long)],
)
@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell's")
def test_a_closed_stdout_is_no_error(command):
    line = f'{sys.executable} -c "from jaccheck.cli import entry_point; entry_point()" {command}'
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize("command", ["check known.json", "check known.json --json"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_what_cannot_be_said_is_one_line_and_no_disagreement(command):
    with open("/dev/full", "w") as full, program(*shlex.split(command), stdout=full) as running:
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (2, "jaccheck: can't write to stdout: No space left on device\n")


REPORTS = ["example", "check network.json", "check mine.py:good", "check known.json --reproducer a.py"]


@pytest.mark.parametrize("command", [*REPORTS, "replay failure.json"])
def test_json_is_a_report_and_alone_on_stdout(capsys, command):
    status = main([*shlex.split(command), "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    report = Report.from_json(out)
    assert conforms(json.loads(out), SCHEMA)
    assert status == (0 if report.ok else 1)
    assert status == (command.startswith(("replay", "check known")))


def test_a_known_defect_is_named_in_one_line_but_is_a_disagreement_of_the_model_checked(capsys):
    assert main(["check", "known.json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (known,) = [line for line in lines if line.startswith("  known ")]
    assert known.endswith("(autograd-other-sample-not-finite)")
    assert main(["check", "known.json", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["known"] == {"autograd": ["autograd-other-sample-not-finite"]}


def test_a_path_that_raises_in_a_known_way_is_named_though_it_gives_a_reason(capsys, folder):
    (folder / "flat.json").write_text(FLAT_OF_NONE)
    assert main(["check", "flat.json"]) == 1
    assert "known       sqrt_ggn_exact: " in capsys.readouterr().out
    failure = Failure("sqrt_ggn_exact", "batching", "raised")
    for law in ("batching", PROCESS):  # in a process of its own
        finding = Finding(failure._replace(property=law), Network.from_json(FLAT_OF_NONE), ("sqrt_ggn_exact",))
        (folder / "saved.json").write_text(replace(finding, properties=("enclosure", "batching")).to_json())
        assert main(["replay", "saved.json", "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["known"] == {"sqrt_ggn_exact": ["sqrt-ggn-flatten-empty-batch"]}


def test_a_known_defect_beside_another_failure_is_not_named(capsys, monkeypatch):
    law = PROPERTIES["batching"]
    monkeypatch.setattr(
        type(law), "judge", lambda self, trial: Verdict(trial.path.name, "disagrees", "state", "batching")
    )
    command = "check known.json --path autograd --property enclosure --property batching --json"
    assert main(shlex.split(command)) == 1
    assert json.loads(capsys.readouterr().out)["known"] == {}


@pytest.mark.parametrize("listed", [True, False])
def test_a_wrong_forward_pass_is_named_if_it_is_known(capsys, folder, monkeypatch, listed):
    ones = {"numbers": [1]}
    layer = {"kind": "Linear", "weight": ones}
    (folder / "ones.json").write_text(json.dumps({"format": 1, "layers": [layer], "x": ones}))
    defects = register()[:1] if listed else ()
    monkeypatch.setattr("jaccheck.defects.known.known", lambda failure, *_, **__: defects)
    with bank()["forward_linear_scaled"].inject():
        assert main(["check", "ones.json"]) == 1
        assert ("known       forward: " in capsys.readouterr().out) is listed


def test_ctrl_c_that_python_ignores_is_heard_a_moment_later(capsys, monkeypatch):
    def lost(phase, info):
        gc.callbacks.remove(lost)
        raise KeyboardInterrupt

    def collecting(*_, **__):
        gc.callbacks.append(lost)
        gc.collect()
        time.sleep(10)

    monkeypatch.setattr("jaccheck._check.check", collecting)
    hook = sys.unraisablehook
    assert main(["example"]) == 130
    assert capsys.readouterr() == ("", "jaccheck: interrupted\n")
    assert sys.unraisablehook is hook


@pytest.mark.long
@pytest.mark.parametrize("loading", ["torch", "typer"])  # with the package, and after it
def test_ctrl_c_while_the_program_is_being_loaded_ends_it_in_one_line(folder, loading):
    (folder / f"{loading}.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", "import _jaccheck_program; _jaccheck_program.main()", "example"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "jaccheck: interrupted\n")


@pytest.mark.long
@pytest.mark.parametrize("command", ["--help", "check known.json"])
@pytest.mark.skipif(os.name == "nt", reason="broken pipes are POSIX's")
def test_a_reader_that_stops_reading_is_no_error_and_no_disagreement(command):
    with program(*shlex.split(command)) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 128 + signal.SIGPIPE
