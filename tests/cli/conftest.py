"""The folder that tests of the command line are in."""

import sys

import pytest

from tests.cli.commands import fill


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """With all that a user may name, good and bad; it is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    fill(tmp_path)
    yield tmp_path
    for name in ("mine", "folder", "package", "package.inner", "importing", "_jaccheck_mine", "_jaccheck_twice"):
        sys.modules.pop(name, None)
