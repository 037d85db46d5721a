"""Who may import what, and what importing costs: the directions in which the parts know each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import source

# Each group of modules, and which others it may import besides itself. A module belongs to the longest that fits, so
# a new one at the top level needs a line. What comes later knows what came before, and never the other way round.
ERRORS = {"_errors"}
DESCRIPTIONS = {
    "_activations",
    "_containers",
    "_history",
    "_json",
    "_layers",
    "_layouts",
    "_modules",
    "_network",
    "_steps",
    "_values",
}  # plain data
WORLD = {
    "_attributes",
    "_capabilities",
    "_culprit",
    "_needs",
    "_parts",
    "_problem",
    "_process",
    "_rounding",
    "_same",
    "_setting",
    "_settings",
    "_state",
    "_streams",
    "_threads",
    "_torch_settings",
    "_words",
}  # the user's model, and what is around it
FINDINGS = {"_plot", "_report", "_text"}  # they show, they don't compute
CHECK = {"_check", "_enclosure", "_picture"}
MAY_IMPORT: dict[str, set[str]] = {
    "_errors": set(),
    **dict.fromkeys(DESCRIPTIONS, ERRORS | DESCRIPTIONS | {"_chance"}),
    "_chance": set(),
    **dict.fromkeys(WORLD, ERRORS | WORLD | {"_chance"}),
    **dict.fromkeys(FINDINGS, ERRORS | FINDINGS | {"_needs", "_network"}),
    "paths": ERRORS | WORLD,
    "enclosure": ERRORS
    | {"_attributes", "_capabilities", "_chance", "_rounding"},  # the oracle owes nothing to what it judges
    "judging": ERRORS | WORLD | FINDINGS | {"paths", "enclosure"},
    "properties": ERRORS | WORLD | DESCRIPTIONS | FINDINGS | {"judging", "paths", "enclosure"},
    **dict.fromkeys(
        CHECK, ERRORS | WORLD | FINDINGS | CHECK | {"diagnosis", "paths", "enclosure", "judging", "properties"}
    ),
    "": ERRORS | CHECK | FINDINGS | DESCRIPTIONS | {"bench", "paths", "enclosure"},  # jaccheck itself: the public names
    "strategies": ERRORS | DESCRIPTIONS | {"_capabilities", "_needs"},
    "minimize": ERRORS | DESCRIPTIONS,
    "bench": ERRORS | WORLD | CHECK | FINDINGS | {"paths"},
    "bench.sweep": ERRORS | WORLD | CHECK | FINDINGS | DESCRIPTIONS | {"paths", "bench", "strategies"},
    "_example": DESCRIPTIONS,
    "_target": ERRORS | DESCRIPTIONS,
    "diagnosis": ERRORS | WORLD | FINDINGS | {"enclosure", "judging", "paths", "properties"},
    "reproducer": ERRORS | WORLD | FINDINGS | DESCRIPTIONS | {"diagnosis", "judging", "paths", "properties"},
    "_finding": ERRORS | CHECK | FINDINGS | DESCRIPTIONS | {"diagnosis", "reproducer"},
    "fuzz.machine": ERRORS | WORLD | DESCRIPTIONS | {"paths", "properties"},
    "defects": ERRORS
    | WORLD
    | CHECK
    | FINDINGS
    | DESCRIPTIONS
    | {"_finding", "paths", "enclosure", "judging", "properties"},
    "fuzz": ERRORS
    | CHECK
    | FINDINGS
    | DESCRIPTIONS
    | {"_target", "defects", "_finding", "minimize", "paths", "properties", "strategies"},
    "atlas": ERRORS
    | WORLD
    | FINDINGS
    | DESCRIPTIONS
    | {"defects", "enclosure", "_finding", "judging", "paths", "properties"},
    "upgrade": ERRORS | WORLD | CHECK | FINDINGS | DESCRIPTIONS | {"paths", "enclosure", "judging", "properties"},
    "exports": ERRORS | FINDINGS | DESCRIPTIONS | {"_needs", "defects", "fuzz", "_finding"},
    "selftest": ERRORS
    | WORLD
    | CHECK
    | FINDINGS
    | DESCRIPTIONS
    | {"defects", "fuzz", "_finding", "paths", "properties"},
    "__main__": {"_needs", "cli"},
    "cli": ERRORS
    | {"_needs", "_threads"}
    | CHECK
    | FINDINGS
    | DESCRIPTIONS
    | {
        "_example",
        "_target",
        "atlas",
        "bench",
        "bench.sweep",
        "defects",
        "exports",
        "fuzz",
        "_finding",
        "paths",
        "properties",
        "reproducer",
        "selftest",
        "upgrade",
    },
    "_jaccheck_program": {"__main__"},
    "_jaccheck_pytest": {"", "bench"},
    "_jaccheck_benchmark_xdist": set(),  # usable without the rest
}
PLUGINS = {"_jaccheck_pytest", "_jaccheck_benchmark_xdist"}
# The packages that only these may import. Besides its paths, BackPACK's are `_history`, which uses a model as its users
# do before a check, `_settings`, which watches what it keeps to itself, and the faults that break it on purpose.
ONLY = {
    "backpack": {
        "_history",
        "paths._backpack",
        "paths.batch_grad",
        "paths.sqrt_ggn_exact",
        "_settings",
        "selftest.faults.backpack",
        "selftest.faults.everywhere",
        "selftest.faults.state",
    },
    "curvlinops": {"paths.curvlinops"},
    "opacus": {"paths.opacus"},
    "jinja2": {"exports"},
    "plotly": {"exports"},
    "distributed": {"fuzz.cluster"},
    "hypothesis": {"strategies", "fuzz"},
    "matplotlib": {"_plot", "atlas._plot", "bench._plot", "bench.sweep._plot", "selftest._plot"},
    "numpy": {"_plot", "atlas._plot", "bench._plot", "_process", "_streams", "selftest.faults.state"},
    "pytest": PLUGINS,
    "pytest_benchmark": PLUGINS,
    "redis": {"fuzz.database"},
    "rich": {"cli"},
    "typer": {"cli"},
}
# Those that the oracle would have to trust.
DERIVATIVES = ("torch.autograd", "torch.func", "jaccheck.paths", "backpack")

OPTIONAL = {"hypothesis", "pytest", "backpack", "matplotlib", "typer", "rich"}  # loaded by who needs them
MOST_SECONDS = 0.050


def short(module: str) -> str:
    """Without ``jaccheck``, which every module begins with."""
    return module.removeprefix("jaccheck").removeprefix(".")


def group(module: str, groups: set[str]) -> str | None:
    """The longest of `groups` that is the module or a package around it."""
    fitting = [name for name in groups if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def forbidden(module: str, imported: set[str]) -> list[str]:
    """What of `imported` the module should not know."""
    own = group(short(module), set(MAY_IMPORT))
    assert own is not None, f"{module} is in no group of MAY_IMPORT"
    wrong = []
    for name in imported:
        if name.partition(".")[0] in {"jaccheck", *source.BESIDE}:
            if group(short(name), set(MAY_IMPORT)) not in {own, *MAY_IMPORT[own]}:
                wrong.append(name)
        elif (root := name.partition(".")[0]) in ONLY and group(short(module), ONLY[root]) is None:
            wrong.append(name)
    return sorted(wrong)


@pytest.mark.parametrize("module", sorted(source.modules()))
def test_each_module_imports_only_what_it_may(module):
    assert forbidden(module, source.imports_of(module)) == []


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("jaccheck.enclosure.oracle", "from jaccheck.paths import get", "jaccheck.paths"),
        ("jaccheck.enclosure.oracle", "from ..paths import autograd", "jaccheck.paths.autograd"),
        (
            "jaccheck.paths.autograd",
            "def f():\n    from jaccheck.enclosure.ball import Ball",
            "jaccheck.enclosure.ball",
        ),
        ("jaccheck.paths.autograd", "import backpack.extensions", "backpack.extensions"),
        ("jaccheck._report", "import jaccheck._check", "jaccheck._check"),
        ("jaccheck._network", "try:\n    import hypothesis\nexcept ImportError: ...", "hypothesis"),
        ("jaccheck._errors", "from . import _report", "jaccheck._report"),
    ],
)
def test_a_wrong_import_is_seen(module, line, wrong):
    package = module.rpartition(".")[0]
    assert forbidden(module, source.imports(line, package)) == [wrong]


def test_what_only_type_checkers_see_is_no_import():
    assert source.imports("if TYPE_CHECKING:\n    import hypothesis\nelse:\n    import math", "jaccheck") == set()


def test_the_oracle_uses_no_automatic_derivative():
    for module, file in source.modules().items():
        if module.startswith("jaccheck.enclosure"):
            text = file.read_text(encoding="utf-8")
            assert [name for name in DERIVATIVES if name in text] == [], module
            assert ".backward(" not in text, module
            assert ".grad(" not in text, module


def fresh(code: str) -> list[str]:
    """The words that `code` prints in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=source.ROOT)
    return done.stdout.split()


def loaded_by(statements: str) -> set[str]:
    """Which of the `OPTIONAL` packages `statements` load."""
    return set(fresh(f"import sys, torch\n{statements}\nprint(*sys.modules)")) & OPTIONAL


def test_importing_jaccheck_and_checking_by_autograd_load_no_optional_package():
    used = """
import jaccheck
assert jaccheck.check(torch.nn.Linear(2, 1), torch.zeros(1, 2), paths=["autograd"]).ok
"""
    assert loaded_by(used) == set()


@pytest.mark.long
def test_an_optional_package_that_is_loaded_is_seen():
    assert loaded_by("import jaccheck.strategies, jaccheck.cli") >= {"hypothesis", "typer"}


def seconds_over_torch(statements: str, pycache: Path) -> float:
    """What `statements` take where torch is loaded and their bytecode is there, as it is once they have run.

    Time of the processor, and the best of several: the other workers, and whoever else uses the machine, don't count.
    """
    *_, best = fresh(f"""
import sys, time, torch
sys.pycache_prefix, sys.dont_write_bytecode = {str(pycache)!r}, False
before, seconds = set(sys.modules), []
for _ in range(12):
    start = time.process_time()
    exec({statements!r})
    seconds.append(time.process_time() - start)
    for name in set(sys.modules) - before:
        del sys.modules[name]
print(min(seconds[1:]))
""")
    return float(best)


def test_importing_jaccheck_takes_at_most_50_ms_over_torch(tmp_path):
    assert seconds_over_torch("import jaccheck", tmp_path) <= MOST_SECONDS


@pytest.mark.long
def test_an_import_that_takes_longer_is_seen(tmp_path):
    busy = f"import jaccheck\nwhile time.process_time() < start + {MOST_SECONDS}: pass"
    assert seconds_over_torch(busy, tmp_path) > MOST_SECONDS
