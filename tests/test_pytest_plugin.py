import sys

import pytest

from jaccheck.paths import unregister_path

pytest_plugins = ["pytester"]

TESTS = """
import jaccheck
import torch


def problem():
    return torch.nn.Sequential(torch.nn.Linear(2, 3)), torch.ones(4, 2)


def helped():
    jaccheck.assert_agreement(*problem(), paths=["twice"])
"""
TWICE = """
import jaccheck
from jaccheck.paths import get


class Twice:
    name = "twice"

    def jacobian(self, model, x):
        return {name: 2 * j for name, j in get("batch_grad").jacobian(model, x).items()}


if "twice" not in jaccheck.paths():
    jaccheck.register_path(Twice())
"""
REPORT = [
    "E   jaccheck*Disagreement: 'twice' lies outside the enclosure of the Jacobian.",
    "E     parameter   '0.bias' [[]3], float32 on cpu",
    "E     at          *the worst of 36 outside, of 108",
    "E     got         2.0",
    "E     enclosure   1.0 ± *",
]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """What a run inside loads, pytester makes Python forget, and torch can't load some of it again."""
    import jaccheck.fuzz.preload  # noqa: F401


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makeconftest(TWICE)
        pytester.makepyfile(TESTS + tests)
        return pytester.runpytest("-p", "no:cacheprovider", *options)

    yield run
    unregister_path("twice")


def traceback_of(result: pytest.RunResult) -> list[str]:
    """The lines of a failure's section that say where."""
    lines = result.stdout.lines
    return [line for line in lines if ".py:" in line and ": in " in line]


def test_a_disagreement_is_shown_by_its_report_and_the_tests_own_lines_alone(run):
    result = run("def test_mine():\n    helped()\n")
    result.stdout.fnmatch_lines(REPORT)
    assert [line.split(": in ")[1] for line in traceback_of(result)] == ["test_mine", "helped"]
    result.stdout.fnmatch_lines(["FAILED *::test_mine - jaccheck*Disagreement: 'twice' lies*"])
    assert result.ret == 1


def test_what_cannot_be_judged_is_shown_by_its_message_and_the_users_own_lines_alone(run):
    result = run("def test_mine():\n    model, x = problem()\n    jaccheck.assert_agreement(model, x.double())\n")
    result.stdout.fnmatch_lines(["E   jaccheck*InvalidProblem: x has dtype float64, the parameters float32; *"])
    assert [line.split(": in ")[1] for line in traceback_of(result)] == ["test_mine"]
    result = run(
        """
class Broken(torch.nn.Linear):
    def forward(self, x):
        raise KeyError("mine")

def test_mine():
    jaccheck.assert_agreement(Broken(2, 3), problem()[1])
"""
    )
    result.stdout.fnmatch_lines(
        ["*KeyError: 'mine'", "E   jaccheck*InvalidProblem: the model's forward pass raises Key*"]
    )
    assert [line.split(": in ")[1] for line in traceback_of(result)] == ["forward", "test_mine"]


@pytest.mark.parametrize(("option", "last"), [("--tb=long", "*.py:10: Disagreement"), ("--full-trace", "*raise error")])
def test_whoever_asks_for_another_traceback_gets_it(run, option, last):
    run("def test_mine():\n    helped()\n", option).stdout.fnmatch_lines([">       helped()", last])


def test_under_hypothesis_the_network_that_fails_is_shown_and_no_frame_of_hypothesis(run):
    result = run(
        """
from hypothesis import given, settings, Phase
from jaccheck.strategies import networks


@given(networks())
@settings(database=None, deadline=None, phases=[Phase.generate, Phase.shrink])
def test_networks(network):
    jaccheck.assert_agreement(*network.build(), paths=["twice"])
"""
    )
    failing = r"E   (Falsifying example|Failing test case): test_networks\("  # by the release of Hypothesis
    result.stdout.re_match_lines([r"E   jaccheck.*Disagreement: 'twice' lies", failing, "E.*network="])
    assert [line.split(": in ")[1] for line in traceback_of(result)] == ["test_networks"]


def test_other_failures_are_shown_as_ever(run):
    result = run("def test_other():\n    helped\n    assert 1 == 2\n\ndef test_expected(): \n    helped()\n")
    result.stdout.fnmatch_lines([">       assert 1 == 2", "E       assert 1 == 2", *REPORT])


def test_an_expected_disagreement_is_expected(run):
    result = run("import pytest\n@pytest.mark.xfail(raises=jaccheck.Disagreement)\ndef test_mine():\n    helped()\n")
    result.assert_outcomes(xfailed=1)


@pytest.mark.long
def test_it_comes_through_xdist(run):
    pytest.importorskip("xdist")
    result = run("def test_mine():\n    helped()\n", "-n1")
    result.stdout.fnmatch_lines([*REPORT, "FAILED *::test_mine - jaccheck*Disagreement: 'twice' lies*"])


def test_the_fixture_checks_the_paths_that_the_option_names(run):
    tests = "def test_mine(assert_agreement):\n    assert_agreement(*problem())\n"
    run(tests).assert_outcomes(passed=1)
    run(tests, "--jaccheck-paths=autograd, batch_grad").assert_outcomes(passed=1)
    result = run(tests, "--jaccheck-paths=autograd,twice")
    result.stdout.fnmatch_lines([*REPORT, "E     autograd  agrees *", "E     twice     disagrees (value) *"])
    assert [line.split(": in ")[1] for line in traceback_of(result)] == ["test_mine"]
    run(tests, "--jaccheck-paths=all").stdout.fnmatch_lines([*REPORT, "E     batch_grad *agrees *"])
    run(tests, "--jaccheck-paths=odd").stdout.fnmatch_lines(["E*InvalidProblem: no path is called 'odd'*"])


def test_what_the_call_names_comes_before_the_option(run):
    tests = "def test_mine(assert_agreement):\n    assert_agreement(*problem(), paths=['autograd'])\n"
    run(tests, "--jaccheck-paths=twice").assert_outcomes(passed=1)


HEAVY = ("torch", "jaccheck", "backpack", "matplotlib")
LOADED = f"""
import sys

def test_loaded():
    assert [name for name in {HEAVY} if name in sys.modules] == []
"""


def test_pytest_starts_without_torch_and_jaccheck(pytester):
    pytester.makepyfile(LOADED)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_test_before_can_fail(pytester):
    pytester.makepyfile(backpack="", matplotlib="")
    pytester.makepyfile("import backpack, matplotlib\n" + LOADED)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*'backpack', 'matplotlib'*"])


def test_the_plugin_is_the_one_that_installs_with_the_package(pytestconfig):
    names = {dist.metadata["Name"] for plugin, dist in pytestconfig.pluginmanager.list_plugin_distinfo()}
    assert "jaccheck" in names
    assert pytestconfig.pluginmanager.has_plugin("jaccheck")
    assert "_jaccheck_pytest" in sys.modules
