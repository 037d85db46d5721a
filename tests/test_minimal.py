"""Each package that may be missing, missing: what doesn't need it works, what does says so in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# As where a package was never installed: neither `import` nor `find_spec` finds it.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {missing!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import warnings
warnings.simplefilter("ignore")  # torch on numpy
import torch
import jaccheck

def checked(paths=None):
    report = jaccheck.check(torch.nn.Linear(3, 2), torch.ones(4, 3), paths=paths)
    return " ".join(verdict.status for verdict in report.verdicts.values())

def ran(*argv):
    from jaccheck.cli import main
    print(main(list(argv)), *argv, file=sys.stderr)

"""
ALL = "agrees agrees agrees"
WITHOUT_BACKPACK = "agrees unsupported unsupported"


def run(missing: str, code: str, tmp_path: Path) -> tuple[str, str]:
    """What `code` prints, and what it prints to stderr, where the packages `missing` are."""
    text = WITHOUT.replace("{missing!r}", repr(missing.split())) + code
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_without_backpack_its_paths_say_so(tmp_path):
    out, err = run("backpack", "print(checked())\nran('example')", tmp_path)
    assert out.splitlines()[0] == WITHOUT_BACKPACK
    assert out.count("this path needs backpack, which is not installed: pip install backpack-for-pytorch") == 2
    assert err == "0 example\n"


def test_without_hypothesis_only_what_draws_networks_is_missing(tmp_path):
    code = """
print(checked())
try:
    import jaccheck.strategies
except ImportError as error:
    print(error)
ran("fuzz", "--examples", "1")
ran("example", "--json")
"""
    out, err = run("hypothesis", code, tmp_path)
    assert out.splitlines()[:2] == [
        ALL,
        "jaccheck.strategies needs hypothesis, which is not installed: pip install hypothesis",
    ]
    said, *rest = err.splitlines()
    assert said.startswith("jaccheck: ")
    assert said.endswith("needs hypothesis, which is not installed: pip install hypothesis")
    assert rest == ["2 fuzz --examples 1", "0 example --json"]


def test_without_matplotlib_only_pictures_are_missing(tmp_path):
    out, err = run("matplotlib", "print(checked())\nran('example')\nran('example', '--plot', 'a.png')", tmp_path)
    assert out.splitlines()[0] == ALL
    said = "jaccheck: --plot needs matplotlib, which is not installed: pip install 'jaccheck[plot]'"
    assert err.splitlines() == ["0 example", said, "2 example --plot a.png"]


def test_without_numpy_backpack_is_missing_too(tmp_path):
    out, err = run("numpy", "print(checked())\nran('example')", tmp_path)
    assert out.splitlines()[0] == WITHOUT_BACKPACK
    assert out.count("this path needs numpy, which is not installed: pip install numpy") == 2
    assert err == "0 example\n"


def test_without_rich_a_terminal_gets_plain_text(tmp_path):
    out, err = run("rich", "sys.stdout.isatty = lambda: True\nprint(checked())\nran('example')", tmp_path)
    assert out.splitlines()[0] == ALL
    assert "\x1b" not in out
    assert err == "0 example\n"


def test_without_typer_only_the_command_line_is_missing(tmp_path):
    code = """
print(checked())
from jaccheck.__main__ import main
try:
    main()
except SystemExit as ended:
    print(ended.code)
"""
    out, err = run("typer", code, tmp_path)
    assert out.splitlines() == [ALL, "2"]
    assert err == "jaccheck: the command line needs typer, which is not installed: pip install typer\n"


@pytest.mark.parametrize("missing", ["jinja2", "plotly"])
def test_without_what_makes_the_page_only_the_page_is_missing(missing, tmp_path):
    code = """
ran("fuzz", "--examples", "2", "--seed", "0", "--workers", "1", "--log", "log.db", "--keep-going")
ran("report", "log.db", "--csv", "rows.csv")
ran("report", "log.db", "--html", "page.html")
"""
    _, err = run(missing, code, tmp_path)
    *_, rows, said, page = err.splitlines()
    assert rows == "0 report log.db --csv rows.csv"
    assert said == f"jaccheck: a page needs {missing}, which is not installed: pip install 'jaccheck[report]'"
    assert page == "2 report log.db --html page.html"


@pytest.mark.parametrize(
    ("missing", "option", "value"),
    [("distributed", "--dask", "tcp://127.0.0.1:8786"), ("redis", "--database", "redis://127.0.0.1:6379")],
)
def test_without_what_a_cluster_takes_only_the_cluster_is_missing(missing, option, value, tmp_path):
    code = f"""
ran("fuzz", "--examples", "1", "--workers", "1", "--keep-going")
ran("fuzz", "--examples", "1", "{option}", "{value}")
"""
    _, err = run(missing, code, tmp_path)
    here, said, there = err.splitlines()
    assert here == "0 fuzz --examples 1 --workers 1 --keep-going"
    assert missing in said
    assert "pip install 'jaccheck[cluster]'" in said
    assert there == f"2 fuzz --examples 1 {option} {value}"


def test_without_any_of_them_a_model_is_checked(tmp_path):
    out, _ = run(
        "backpack distributed hypothesis jinja2 matplotlib numpy plotly pytest redis rich typer",
        "print(checked('all'))",
        tmp_path,
    )
    assert out == WITHOUT_BACKPACK + " agrees agrees agrees\n"


def test_a_module_of_the_users_own_that_is_missing_is_no_package_of_ours():
    from jaccheck._needs import needs

    with pytest.raises(ModuleNotFoundError, match="no_such"), needs("this"):
        import no_such_module  # noqa: F401
