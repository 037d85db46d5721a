"""The names that others call, with their signatures: what is here doesn't change unless the CHANGELOG says so."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from hypothesis.strategies import SearchStrategy

import jaccheck
import jaccheck.cli
import jaccheck.strategies

NO_DEFAULT = inspect.Parameter.empty
# A function's parameters by position and by name, with their defaults. There may be more, but only with a default and
# by name, so that a call that is good today stays good.
SIGNATURES = {
    "check": ({"model": NO_DEFAULT, "x": NO_DEFAULT}, {"paths": None}),
    "assert_agreement": ({"model": NO_DEFAULT, "x": NO_DEFAULT}, {"paths": None}),
    "jacobian": ({"model": NO_DEFAULT, "x": NO_DEFAULT, "path": "autograd"}, {}),
    "enclosure": ({"model": NO_DEFAULT, "x": NO_DEFAULT}, {}),
    "benchmark": ({"model": NO_DEFAULT, "x": NO_DEFAULT}, {"paths": None}),
    "compare_tensor_lists": ({"list1": NO_DEFAULT, "list2": NO_DEFAULT}, {}),
    "paths": ({}, {}),
    "register_path": ({"path": NO_DEFAULT}, {}),
    "cli.main": ({"argv": None}, {}),
    "Network.build": ({"self": NO_DEFAULT}, {}),
    "Network.to_json": ({"self": NO_DEFAULT}, {}),
    "Network.from_json": ({"text": NO_DEFAULT}, {}),
    "Report.to_json": ({"self": NO_DEFAULT}, {}),
    "Report.plot": ({"self": NO_DEFAULT, "file": None}, {}),
}
EXCEPTIONS = {"InvalidProblem": ValueError, "Unsupported": Exception, "Disagreement": AssertionError}


def public(name: str) -> object:
    found: object = jaccheck
    for part in name.split("."):
        found = getattr(found, part)
    return found


def differences(function: object, by_position: dict[str, object], by_name: dict[str, object]) -> list[str]:
    """How the parameters of `function` differ from what they should be."""
    assert callable(function)
    parameters = inspect.signature(function).parameters
    positional = {name: p.default for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    keywords = {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    found = [f"{name} has to be given" for name, default in keywords.items() if default is NO_DEFAULT]
    if list(positional.items()) != list(by_position.items()):
        found.append(f"by position {positional}")
    return found + [f"by name {keywords}" for name in by_name if keywords.get(name, NO_DEFAULT) != by_name[name]]


@pytest.mark.parametrize("name", SIGNATURES)
def test_each_function_is_called_as_it_always_was(name):
    assert differences(public(name), *SIGNATURES[name]) == []


@pytest.mark.parametrize(
    "changed",
    [
        lambda model, x, paths=None: None,
        lambda x, model, *, paths=None: None,
        lambda model, x, *, paths=(): None,
        lambda model, x, *, paths=None, more: None,
        lambda model, x, *, path=None: None,
    ],
)
def test_a_changed_signature_is_seen(changed):
    assert differences(changed, *SIGNATURES["check"]) != []


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_each_exception_is_of_the_builtin_one_that_callers_catch(name):
    assert EXCEPTIONS[name] in public(name).__bases__


def test_the_strategy_takes_limits_by_name_alone_and_each_has_a_default():
    parameters = inspect.signature(jaccheck.strategies.networks).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not NO_DEFAULT for p in parameters)
    assert isinstance(jaccheck.strategies.networks(), SearchStrategy)


def test_names_that_are_functions_and_packages_too_are_the_functions():
    assert jaccheck.paths()[:3] == ("autograd", "batch_grad", "sqrt_ggn_exact")
    assert callable(jaccheck.enclosure)


def test_every_public_name_is_documented():
    names = [name for name in vars(jaccheck) if not name.startswith("_")]
    undocumented = [
        name
        for name in (*names, "Network", "cli.main", "strategies.networks")
        if getattr(public(name), "__module__", "").startswith("jaccheck") and not inspect.getdoc(public(name))
    ]
    assert undocumented == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        jaccheck.chekc  # noqa: B018


def test_all_names_are_there_in_whatever_order_they_are_asked_for(tmp_path):
    star = "import jaccheck.bench.costs, jaccheck._check\nfrom jaccheck import *\nprint(*sorted(globals()))"
    done = subprocess.run([sys.executable, "-c", star], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert set(jaccheck.__all__) <= set(done.stdout.split())
    for name in dir(jaccheck):
        assert not inspect.ismodule(getattr(jaccheck, name)) or name in ("cli", "strategies")
    with pytest.raises(AttributeError, match="no attribute 'chek'"):
        jaccheck.chek  # noqa: B018
