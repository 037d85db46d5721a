"""What a user may name on the command line, good and bad, and what it says."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from jaccheck._finding import Failure, Finding
from jaccheck._network import Network
from jaccheck.cli import main

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


def fill(folder: Path) -> None:
    """Put all that in a folder."""
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
        "failure.json": Finding(FAILURE, Network.from_json(KNOWN), ("autograd",)).to_json(),
        "a_file": "",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "latin.json").write_bytes(b'{"format": "\xe9"}')
    (folder / "folder.json").mkdir()
    (folder / "folder").mkdir()
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "inner.py").write_text(MINE)


def refused(capsys, arguments: str) -> str:
    """The one line on stderr of a command that exits with 2."""
    status = main(shlex.split(arguments))
    out, err = capsys.readouterr()
    assert status == 2, (out, err)
    assert out == ""
    assert err.startswith("jaccheck: ")
    assert err.count("\n") == 1
    return err.removeprefix("jaccheck: ").rstrip("\n")


def program(*arguments: str, **options) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from jaccheck.cli import entry_point; entry_point()", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)
