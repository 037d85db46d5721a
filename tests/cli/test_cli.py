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
from collections import Counter

import pytest
import torch

from jaccheck._errors import InvalidProblem
from jaccheck._finding import Failure, Finding
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.cli import main
from jaccheck.cli._app import AGREEMENT, BAD_USAGE, DISAGREEMENT, INTERRUPTED
from jaccheck.cli._screen import show_summary
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.summary import Summary
from jaccheck.paths import unregister_path
from tests.documented import assert_documented
from tests.planted import doubled, doubled_behind_tanh, planted
from tests.source import ROOT
from tests.test_report import SCHEMA, conforms

ANSI = "\x1b["
MINE = """
import torch


def good():
    return torch.nn.Linear(3, 2), torch.ones(4, 3)


def as_list():
    return [torch.nn.Linear(3, 2), torch.ones(4, 3)]


def model_alone():
    return torch.nn.Linear(3, 2)


def three():
    return 1, 2, 3


def strings():
    return "model", "x"


def raising():
    raise RuntimeError("on two\\nlines")


def exiting():
    raise SystemExit(3)


def asking(x):
    return x


async def later():
    return good()


def unfit():
    return torch.nn.Linear(3, 2), torch.ones(4, 3, dtype=torch.cfloat)


def unflattened():
    return torch.nn.Linear(3, 2), torch.ones(4, 5, 3)


def dropping():
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout()), torch.ones(4, 3)


def noisy():
    model = torch.nn.Linear(3, 2)
    model.register_forward_hook(lambda module, inputs, output: output + torch.rand_like(output))
    return model, torch.ones(4, 3)


def without_enclosure():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 1, 2), torch.nn.Flatten()), torch.ones(2, 1, 3, 3)


class Box:
    good = staticmethod(good)


number = 3
"""
NETWORK = '{"format": 1, "layers": [{"kind": "Linear"}, {"kind": "ReLU"}]}'
KNOWN = '{"format": 1, "layers": [{"kind": "Linear"}], "batch": 2, "x": {"numbers": ["inf", 1]}}'
LONG = 300 * "x"  # longer than a file's name may be
FAILURE = Failure("autograd", "enclosure", "value")
TWICE = """
import jaccheck
from jaccheck.paths import get


class Twice:
    name = "twice"

    def jacobian(self, model, x):
        return {name: 2 * j for name, j in get("batch_grad").jacobian(model, x).items()}


jaccheck.register_path(Twice())
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with all that a user may name, good and bad, and be in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    files = {
        "mine.py": MINE,
        "my mine.py": MINE,
        "twice.py": TWICE,
        "importing.py": "import there_is_no_such_module\n",
        "syntax.py": "def (:\n",
        "network.json": NETWORK,
        "known.json": KNOWN,
        "broken.json": '{"format"',
        "list.json": "[1]",
        "newer.json": '{"format": 99}',
        "other.json": '{"a": 1}',
        "negative.json": '{"format": 1, "batch": -1}',
        "frozen.json": '{"format": 1, "layers": [{"kind": "Linear", "frozen": ["weight", "bias"]}]}',
        "failure.json": Finding(
            Failure("autograd", "enclosure", "value"), Network.from_json(KNOWN), ("autograd",)
        ).to_json(),
        "a_file": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "latin.json").write_bytes(b'{"format": "\xe9"}')
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner.py").write_text(MINE)
    yield tmp_path
    for name in ("mine", "folder", "package", "package.inner", "importing", "_jaccheck_mine", "_jaccheck_twice"):
        sys.modules.pop(name, None)


def refused(capsys, arguments: str) -> str:
    """The one line on stderr of a command that exits with 2."""
    status = main(shlex.split(arguments))
    out, err = capsys.readouterr()
    assert status == 2, (out, err)
    assert out == ""
    assert err.startswith("jaccheck: ")
    assert err.count("\n") == 1
    return err.removeprefix("jaccheck: ").rstrip("\n")


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
            f"{BAD_USAGE} bad usage or input, {INTERRUPTED} interrupted before any was found. "
            "What record keeps and tolerances counts makes no difference to it."
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


@pytest.mark.parametrize("command", ["example >&-", "fuzz --seed 1 --examples 10 --workers 2 >&- 2>&-"])
@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell's")
def test_a_closed_stdout_is_no_error(command):
    line = f'{sys.executable} -c "from jaccheck.cli import entry_point; entry_point()" {command}'
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


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
    autograd = "--seed 3 --path autograd --dtype float32 --property enclosure --examples 150"
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

    monkeypatch.setattr("jaccheck.fuzz.checking.examined", broken)
    status, out, _ = fuzz(capsys, f"{QUICK} --examples 5")
    assert status == 1
    assert out.startswith("jaccheck itself raised KeyError: a fault of jaccheck's own.\nTraceback")
    assert len(list((folder / "jaccheck-failures").glob("jaccheck-KeyError-*.json"))) == 1


def test_networks_that_are_refused_are_shown(capsys, monkeypatch):
    def refusing(network, paths, properties, **options):
        raise InvalidProblem("not this one")

    monkeypatch.setattr("jaccheck.fuzz.checking.examined", refusing)
    status, out, _ = fuzz(capsys, f"{QUICK} --examples 5")
    assert status == 0
    assert "  refused: 5 networks: not this one\n" in out


def program(*arguments: str, **options) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from jaccheck.cli import entry_point; entry_point()", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)


def test_a_path_that_declines_all_networks_is_said_to_have_shown_nothing(capsys):
    summary = Summary(Plan(0, ("autograd", "batch_grad"), ("enclosure",), ("float32",), ("cpu",)))
    summary.verdicts = {"autograd": Counter(agrees=2, vacuous=1), "batch_grad": Counter(unsupported=2, vacuous=1)}
    show_summary(summary, [], [])
    out = capsys.readouterr().out
    assert "nothing is shown of batch_grad: it was judged on no network" in out
    assert "shown of autograd" not in out


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


@pytest.mark.parametrize("loading", ["torch", "typer"])  # with the package, and after it
def test_ctrl_c_while_the_program_is_being_loaded_ends_it_in_one_line(folder, loading):
    (folder / f"{loading}.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", "import _jaccheck_program; _jaccheck_program.main()", "example"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "jaccheck: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_colours_and_the_progress_bar_are_for_terminals_alone():
    import pty

    reader, terminal = pty.openpty()
    arguments = ["fuzz", *shlex.split(QUICK.replace("vmap_jacrev", "batch_grad")), "--examples", "20"]
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
    assert b"20 networks" in shown


@pytest.mark.parametrize("command", ["--help", "check known.json"])
@pytest.mark.skipif(os.name == "nt", reason="broken pipes are POSIX's")
def test_a_reader_that_stops_reading_is_no_error_and_no_disagreement(command):
    with program(*shlex.split(command)) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 128 + signal.SIGPIPE
