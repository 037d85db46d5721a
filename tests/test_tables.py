"""Tables and folders agree: whoever adds a file can't forget its entry, and none stands for a file that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from jaccheck import paths
from jaccheck.enclosure.rules import rules
from jaccheck.paths import _BUILT_IN, _PEERS, get
from jaccheck.properties import PROPERTIES
from tests.source import ROOT

# Rules' files that other rules' files use and that serve no call themselves.
HELPERS = {"broadcast"}


def files(folder: str) -> set[str]:
    """The modules of `folder` that aren't private, by name."""
    return public(ROOT / "jaccheck" / folder)


def public(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")}


def test_a_file_is_found_and_a_private_one_is_not(tmp_path):
    for name in ("__init__.py", "_helper.py", "forgotten.py"):
        (tmp_path / name).touch()
    assert public(tmp_path) == {"forgotten"}


def test_each_file_of_paths_is_a_built_in_path_and_each_has_a_file():
    assert {*_BUILT_IN, *_PEERS} == files("paths")


@pytest.mark.parametrize("name", [name for name in paths() if name in files("paths")])
def test_a_path_is_called_as_its_file(name):
    assert get(name).name == name
    assert type(get(name)).__module__ == f"jaccheck.paths.{name}"


def test_each_file_of_properties_is_in_the_list_and_each_has_a_file():
    assert set(PROPERTIES) == files("properties")
    assert {type(law).__module__.rpartition(".")[2] for law in PROPERTIES.values()} == files("properties")


def test_each_file_of_rules_has_an_entry_and_each_entry_a_file():
    entered = {factory.__module__.removeprefix("jaccheck.enclosure.rules.") for factory in rules().values()}
    absent = set() if hasattr(nn, "RMSNorm") else {"rms_norm"}  # as in torch 2.2
    assert entered == files("enclosure/rules") - HELPERS - absent
