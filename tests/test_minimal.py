"""Each package that may be missing, missing: what doesn't need it works, what does says so in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Runs each script that it is told of in a process of its own, which has torch already.
FORKING = """
import json, os, sys
import torch
for line in sys.stdin:
    file, folder = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(folder)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY), descriptor)
        exec(open(file).read())
        sys.exit()
    print(os.waitpid(child, 0)[1], flush=True)
"""
# As where a package was never installed: neither `import` nor `find_spec` finds it.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {missing!r} else super().find_spec(name, path, target)

assert not {name.partition(".")[0] for name in sys.modules}.intersection({missing!r})
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import warnings
warnings.simplefilter("ignore")  # torch on numpy
import torch
import jaccheck

def checked(paths=None):
    report = jaccheck.check(torch.nn.Linear(3, 2), torch.ones(4, 3), paths=paths)
    return " ".join(verdict.status for verdict in report.verdicts.values())

BRIEF = "--examples 2 --workers 1 --keep-going --path autograd --property enclosure".split()

def ran(*argv):
    from jaccheck.cli import main
    print(main(list(argv)), *argv, file=sys.stderr)

"""
ALL = "agrees agrees agrees"
WITHOUT_BACKPACK = "agrees unsupported unsupported"


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    """Loading torch takes most of the time of a new Python."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", FORKING], text=True, bufsize=1, **pipes) as running:
        yield running
        running.stdin.close()


@pytest.fixture
def run(forking, tmp_path, monkeypatch) -> Callable[[str, str], tuple[str, str]]:
    """What a code prints, and what it prints to stderr, where the packages named first are missing."""

    def afresh(script: Path) -> int:
        with open("out", "w") as out, open("err", "w") as err:
            return subprocess.run([sys.executable, script], stdout=out, stderr=err).returncode

    def forked(script: Path) -> int:
        print(json.dumps([str(script), str(tmp_path)]), file=forking.stdin)
        return int(forking.stdout.readline())

    def called(missing: str, code: str) -> tuple[str, str]:
        monkeypatch.chdir(tmp_path)
        script = tmp_path / "script.py"
        script.write_text(WITHOUT.replace("{missing!r}", repr(missing.split())) + code)
        status = afresh(script) if "numpy" in missing or not hasattr(os, "fork") else forked(script)  # torch loads it
        out, err = ((tmp_path / name).read_text() for name in ("out", "err"))
        assert status == 0, err
        return out, err

    return called


def test_without_backpack_its_paths_say_so(run):
    out, err = run("backpack", "print(checked())\nran('example')")
    assert out.splitlines()[0] == WITHOUT_BACKPACK
    assert out.count("this path needs backpack, which is not installed: pip install backpack-for-pytorch") == 2
    assert err == "0 example\n"


def test_without_hypothesis_only_what_draws_networks_is_missing(run):
    code = """
print(checked())
try:
    import jaccheck.strategies
except ImportError as error:
    print(error)
ran("fuzz", "--examples", "1")
ran("example", "--json")
"""
    out, err = run("hypothesis", code)
    assert out.splitlines()[:2] == [
        ALL,
        "jaccheck.strategies needs hypothesis, which is not installed: pip install hypothesis",
    ]
    said, *rest = err.splitlines()
    assert said.startswith("jaccheck: ")
    assert said.endswith("needs hypothesis, which is not installed: pip install hypothesis")
    assert rest == ["2 fuzz --examples 1", "0 example --json"]


def test_without_matplotlib_only_pictures_are_missing(run):
    out, err = run("matplotlib", "print(checked())\nran('example')\nran('example', '--plot', 'a.png')")
    assert out.splitlines()[0] == ALL
    said = "jaccheck: --plot needs matplotlib, which is not installed: pip install 'jaccheck[plot]'"
    assert err.splitlines() == ["0 example", said, "2 example --plot a.png"]


@pytest.mark.long
def test_without_numpy_backpack_is_missing_too(run):
    out, err = run("numpy", "print(checked())\nran('example')")
    assert out.splitlines()[0] == WITHOUT_BACKPACK
    assert out.count("this path needs numpy, which is not installed: pip install numpy") == 2
    assert err == "0 example\n"


def test_without_rich_a_terminal_gets_plain_text(run):
    out, err = run("rich", "sys.stdout.isatty = lambda: True\nprint(checked())\nran('example')")
    assert out.splitlines()[0] == ALL
    assert "\x1b" not in out
    assert err == "0 example\n"


def test_without_typer_only_the_command_line_is_missing(run):
    code = """
print(checked())
from jaccheck.__main__ import main
try:
    main()
except SystemExit as ended:
    print(ended.code)
"""
    out, err = run("typer", code)
    assert out.splitlines() == [ALL, "2"]
    assert err == "jaccheck: the command line needs typer, which is not installed: pip install typer\n"


@pytest.mark.long
@pytest.mark.parametrize("missing", ["jinja2", "plotly"])
def test_without_what_makes_the_page_only_the_page_is_missing(missing, run):
    code = """
ran("fuzz", *BRIEF, "--seed", "0", "--log", "log.db")
ran("report", "log.db", "--csv", "rows.csv")
ran("report", "log.db", "--html", "page.html")
"""
    _, err = run(missing, code)
    *_, rows, said, page = err.splitlines()
    assert rows == "0 report log.db --csv rows.csv"
    assert said == f"jaccheck: a page needs {missing}, which is not installed: pip install 'jaccheck[report]'"
    assert page == "2 report log.db --html page.html"


@pytest.mark.long
def test_without_what_a_cluster_takes_only_the_cluster_is_missing(run):
    code = """
ran("fuzz", *BRIEF)
ran("fuzz", "--examples", "1", "--dask", "tcp://127.0.0.1:8786")
ran("fuzz", "--examples", "1", "--database", "redis://127.0.0.1:6379")
"""
    _, err = run("distributed redis", code)
    here, *there = err.splitlines()
    assert here == "0 fuzz --examples 2 --workers 1 --keep-going --path autograd --property enclosure"
    for missing, said, status in zip(("distributed", "redis"), there[::2], there[1::2], strict=True):
        assert missing in said
        assert "pip install 'jaccheck[cluster]'" in said
        assert status.startswith("2 fuzz --examples 1 --d")


@pytest.mark.long
def test_without_any_of_them_a_model_is_checked(run):
    out, _ = run(
        "backpack distributed hypothesis jinja2 matplotlib numpy plotly pytest redis rich typer",
        "print(checked('all'))",
    )
    assert out == WITHOUT_BACKPACK + " agrees agrees agrees\n"


def test_a_module_of_the_users_own_that_is_missing_is_no_package_of_ours():
    from jaccheck._needs import needs

    with pytest.raises(ModuleNotFoundError, match="no_such"), needs("this"):
        import no_such_module  # noqa: F401
