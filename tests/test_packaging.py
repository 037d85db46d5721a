"""The wheel holds what the repository does, and is all that it takes to import and use jaccheck."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

from tests.source import BESIDE, FOLDERS, ROOT

BESIDE_FILES = {f"{module}.py" for module in BESIDE}
SHIPPED = ("jaccheck", "strategies", *BESIDE_FILES, "pyproject.toml", "README.md", "LICENSE")


def wheel_of(tree: Path) -> Path:
    """Build `tree` with the setuptools of this environment, so that nothing is fetched."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what is shipped: a build leaves files behind, and another worker may be building, too."""
    copy = tmp_path_factory.mktemp("tree")
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(tree):
    return wheel_of(tree)


def left_out(wheel: Path) -> set[str]:
    """The files of the repository's folders that the wheel lacks."""
    there = {
        f"{package.replace('.', '/')}/{file.relative_to(folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    return there - set(ZipFile(wheel).namelist())


def test_the_wheel_holds_every_file_of_the_package_and_of_the_strategies(wheel):
    assert left_out(wheel) == set()
    names = ZipFile(wheel).namelist()
    for name in ("jaccheck/py.typed", "jaccheck/defects/known_defects.json", "jaccheck/report.schema.json"):
        assert name in names
    assert "jaccheck/strategies/networks.py" in names
    assert set(names) >= BESIDE_FILES


def test_the_wheel_holds_nothing_else(wheel):
    roots = {name.partition("/")[0] for name in ZipFile(wheel).namelist()}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"jaccheck", *BESIDE_FILES}


def test_the_command_and_the_plugin_are_entered(wheel):
    archive = ZipFile(wheel)
    (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    lines = archive.read(entries).decode().splitlines()
    assert "jaccheck = _jaccheck_program:main" in lines[lines.index("[console_scripts]") :]
    plugins = lines[lines.index("[pytest11]") :]
    assert "jaccheck = _jaccheck_pytest" in plugins
    assert "jaccheck_benchmark_xdist = _jaccheck_benchmark_xdist" in plugins


def test_the_metadata_name_what_it_needs_and_what_is_optional(wheel):
    archive = ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    message = message_from_string(archive.read(metadata).decode())
    needed = {
        requirement.partition(">")[0] for requirement in message.get_all("Requires-Dist") if ";" not in requirement
    }
    assert needed == {"torch", "backpack-for-pytorch", "hypothesis", "typer", "rich"}
    assert set(message.get_all("Provides-Extra")) >= {"plot", "report", "peers", "test", "lint", "dev"}
    assert message["Requires-Python"] == ">=3.10"
    assert message["License-Expression"] == "MIT"


@pytest.mark.long
def test_what_the_wheel_holds_is_enough_to_draw_and_check_a_network(wheel, tmp_path):
    ZipFile(wheel).extractall(tmp_path)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import jaccheck, jaccheck.strategies, jaccheck.cli
from hypothesis import find
for module in (jaccheck, jaccheck.strategies, jaccheck.cli):
    assert module.__file__.startswith({str(tmp_path)!r}), module
network = find(jaccheck.strategies.networks(), lambda network: network.batch == 2)
print(jaccheck.check(*network.build()).ok)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_a_folder_that_pyproject_forgets_is_seen(tree, tmp_path):
    copy = shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns("build", "dist", "*.egg-info"))
    pyproject = copy / "pyproject.toml"
    packages = pyproject.read_text(encoding="utf-8").replace('    "jaccheck.enclosure.rules",\n', "")
    pyproject.write_text(packages, encoding="utf-8")
    assert "jaccheck/enclosure/rules/relu.py" in left_out(wheel_of(copy))


@pytest.mark.skipif("JACCHECK_EXPECT_TORCH" not in os.environ, reason="no release of torch is asked for")
def test_torch_is_the_release_that_was_asked_for():
    """An environment's pin: what is installed later may move it."""
    assert torch.__version__.partition("+")[0] == os.environ["JACCHECK_EXPECT_TORCH"]
