"""Where the reproducers go, and what is said of them."""

import json
import re

import pytest

from jaccheck.cli import main
from jaccheck.reproducer import run
from tests.planted import doubled, planted

NAN = (
    '{"format": 1, "layers": [{"kind": "Linear", "bias": {"numbers": ["nan"]}}, {"kind": "ReLU"}], "dtype": "float32"}'
)
QUICK = "fuzz --seed 1 --dtype float32 --property enclosure"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nan.json").write_text(NAN)
    (tmp_path / "fine.json").write_text('{"format": 1, "layers": [{"kind": "Linear"}]}')
    return tmp_path


def called(capsys, line: str) -> tuple[int, str]:
    status = main(line.split())
    return status, capsys.readouterr().out


def test_fuzz_writes_a_script_beside_the_failure_and_replay_says_where_it_is(capsys, folder):
    status, out = called(capsys, f"{QUICK} --path autograd --examples 150 --no-known --save-dir found")
    assert status == 1
    (script,) = (folder / "found").glob("*.py")
    assert script.with_suffix(".json").exists()
    said = f"  script      found/{script.name}, run it by: python found/{script.name}\n"
    assert said in out
    assert run(script.read_text(encoding="utf-8"))[0] == 1
    assert said in called(capsys, f"replay found/{script.stem}.json")[1]


def test_check_and_replay_write_one_where_they_are_told_to(capsys, folder):
    status, out = called(capsys, "check nan.json --reproducer nan.py")
    assert status == 1
    assert out.endswith("  script      nan.py, run it by: python nan.py\n")
    assert run((folder / "nan.py").read_text(encoding="utf-8"))[0] == 1
    status, out = called(capsys, "check nan.json --reproducer again.py --json")
    assert json.loads(out)["script"] == {"file": "again.py", "reason": None}
    called(capsys, f"{QUICK} --path autograd --examples 150 --no-known --save-dir found")
    (file,) = (folder / "found").glob("*.json")
    called(capsys, f"replay found/{file.name} --reproducer elsewhere.py")
    assert (folder / "elsewhere.py").read_text() == file.with_suffix(".py").read_text()


def test_where_there_is_none_the_reason_is_said_and_an_old_one_goes(capsys, folder):
    (folder / "old.py").write_text("print('of yesterday')")
    status, out = called(capsys, "check fine.json --reproducer old.py")
    assert status == 0
    assert out.endswith("  script      none: nothing is wrong\n")
    assert not (folder / "old.py").exists()
    with planted(doubled):
        status, out = called(capsys, f"{QUICK} --path planted --examples 20")
        assert re.search("  script      none: path 'planted' doesn't say how it is called: give it a `snippet`", out)
        status, out = called(capsys, f"{QUICK} --path planted --examples 20 --json")
    script = json.loads(out)["findings"][0]["script"]
    assert script["file"] is None
    assert script["reason"].startswith("path 'planted' doesn't say")


def test_a_file_that_cannot_be_written_is_bad_usage(capsys):
    assert main(["check", "nan.json", "--reproducer", "no/folder/nan.py"]) == 2
    assert "can't write no/folder/nan.py" in capsys.readouterr().err
