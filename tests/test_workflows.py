"""The workflows: actions are pinned by commit, permissions are few, and tox.ini has every environment they name.

And what CI runs is what the README and tox.ini say.
"""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest

from tests.source import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
COMMIT = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def used(text: str) -> list[str]:
    return re.findall(r"uses: (.+)", text)


def tox_ini() -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def expanded(pattern: str) -> list[str]:
    """``py3{10,11}-a`` as tox has it."""
    found = re.search(r"\{([^}]*)\}", pattern)
    if found is None:
        return [pattern]
    ends = (f"{pattern[: found.start()]}{choice}{pattern[found.end() :]}" for choice in found[1].split(","))
    return [name for end in ends for name in expanded(end)]


def environments() -> set[str]:
    parser = tox_ini()
    lines = [line for line in parser["tox"]["env_list"].splitlines() if line and not line.startswith("#")]
    own = {section.removeprefix("testenv:") for section in parser.sections() if section.startswith("testenv:")}
    return {name for line in lines for name in expanded(line)} | own


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned_by_commit(workflow):
    assert [action for action in used(workflow.read_text(encoding="utf-8")) if not COMMIT.fullmatch(action)] == []


@pytest.mark.parametrize("action", ["actions/checkout@v5", "actions/checkout@main # v5.0.0", "a/b@" + 40 * "0"])
def test_a_pin_that_can_move_or_has_no_version_is_seen(action):
    assert COMMIT.fullmatch(action) is None


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_no_workflow_may_write_but_for_the_token_of_publishing(workflow):
    text = workflow.read_text(encoding="utf-8")
    assert re.search(r"^permissions:( \{\}|\n  contents: read)$", text, re.M)
    assert re.findall(r"\w[\w-]*: write", text) == (["id-token: write"] if workflow.stem == "release" else [])


def test_every_environment_that_is_named_is_there():
    known = environments()
    parser = tox_ini()
    named = [
        name.strip()
        for value in parser["gh"].values()
        for line in value.splitlines()
        for name in line.partition("=")[2].split(",")
        if name.strip()
    ]
    named += [name.strip() for name in parser["tox"]["labels"].partition("=")[2].split(",")]
    for workflow in WORKFLOWS:
        named += re.findall(r"tox run -e (\S+)", workflow.read_text(encoding="utf-8"))
    assert {"cuda", "bench", "oldest", "py313-torch214-backpack171"} <= set(named)
    assert [name for name in named if name not in known] == []


def test_the_linter_looks_at_every_workflow():
    commands = tox_ini()["testenv:lint"]["commands"]
    assert all(f".github/workflows/{workflow.name}" in commands for workflow in WORKFLOWS)


def commands_of(readme: str) -> list[str]:
    """The README's two commands: each a block of its own that makes an environment."""
    return re.findall(r"^```sh\n(python3 -m venv .*)\n```$", readme, re.M)


def test_ci_runs_the_readmes_second_command_to_the_letter():
    first, second = commands_of((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "jaccheck fuzz" in first
    assert second in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_tox_runs_the_tests_as_the_readme_does():
    _, second = commands_of((ROOT / "README.md").read_text(encoding="utf-8"))
    (tests,) = tox_ini()["testenv"]["commands"].strip().splitlines()
    assert second.endswith(f".venv/bin/{tests.removesuffix(' {posargs}')}")
    assert f"'.[{tox_ini()['testenv']['extras']}]'" in second


def test_ci_lints_as_tox_does():
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflows = " ".join(f".github/workflows/{name}.yml" for name in ("ci", "nightly", "gpu", "release"))
    for command in tox_ini()["testenv:lint"]["commands"].strip().splitlines():
        same = command.replace("{posargs:.}", ".").replace(workflows, ".github/workflows/*.yml")
        assert f".venv/bin/{same}" in run.splitlines(), command


def test_tox_lints_with_the_releases_of_the_extra():
    (extra,) = re.findall(r"^lint = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    wanted = re.findall(r'"([^"]+)"', extra)
    assert all("<" in requirement for requirement in wanted)
    assert set(tox_ini()["testenv:lint"]["deps"].split()) <= set(wanted)
