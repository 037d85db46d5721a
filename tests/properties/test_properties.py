"""What all properties have in common."""

from __future__ import annotations

import gc
import weakref
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from torch import nn

import jaccheck.properties
from jaccheck import Network, check
from jaccheck._layers import Activation, Linear
from jaccheck._problem import admit
from jaccheck._values import Values
from jaccheck.paths import get
from jaccheck.properties import PROPERTIES
from jaccheck.properties._judge import Judge
from jaccheck.properties._trial import Trial
from tests.planted import planted


def test_each_is_a_file_and_in_the_list():
    files = {module.name for module in iter_modules(jaccheck.properties.__path__) if not module.name.startswith("_")}
    assert files == set(PROPERTIES)
    for name in files:
        assert import_module(f"jaccheck.properties.{name}").__doc__


def problem():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).half()
    return admit(model, torch.tensor([[1, 2], [3, -1], [2, 2]], dtype=torch.float16))


@pytest.mark.parametrize("law", PROPERTIES)
def test_nothing_is_kept_of_a_problem(law):
    """Properties keep variants and oracles for the next path, but not after the problem is gone."""
    model = problem().model
    trial = Trial(admit(model, torch.ones(3, 2).half()), get("batch_grad"), None)
    trial.judge = Judge(trial.problem)
    PROPERTIES[law].judge(trial)
    watched = weakref.ref(trial.problem)
    del trial
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize("law", PROPERTIES)
def test_a_path_that_can_not_do_the_model_is_unsupported(law):
    model = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2))
    verdict = check(model, torch.ones(3, 2), paths=("sqrt_ggn_exact",), properties=(law,)).verdicts["sqrt_ggn_exact"]
    assert verdict.status == "unsupported"


@pytest.mark.parametrize("law", PROPERTIES)
def test_what_is_asked_can_be_asked_again(law):
    report = check(nn.Linear(2, 3), torch.ones(3, 2), paths=("batch_grad",), properties=(law,))
    assert report.again == f"jaccheck.check(model, x, paths=('batch_grad',), properties=({law!r},))"


@pytest.mark.parametrize("law", [*PROPERTIES, *(f"sequence:extend,{step}" for step in ("deepcopy", "pickle", "move"))])
@pytest.mark.parametrize("used_before", ["autograd", "backpack"])
def test_a_model_that_has_been_used_is_judged_like_any_other(law, used_before):
    """BackPACK leaves results of operations in the layers, which can't be copied as they are."""
    layers = (Activation("ReLU"), Linear(2, Values(numbers=(1, -2, 3))), Activation("Tanh"), Linear(2))
    network = Network(layers, batch=3, x=Values(numbers=(1, -1, 2)), dtype="float16", used_before=used_before)
    verdict = check(*network.build(), paths=("batch_grad",), properties=(law,)).verdicts["batch_grad"]
    reasons = ("the network isn't exact", "an activation is evaluated")
    assert verdict.status == "agrees" or any(words in verdict.reason for words in reasons), verdict


class Written(nn.Module):
    """Writes to what its own backward pass needs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        y = self.layer(x).exp()
        return y.clone() + y.mul_(2)


def hooked():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.register_hook(lambda gradient: 1 / 0)
    return model


@pytest.mark.parametrize("make", [Written, hooked])
@pytest.mark.parametrize("name", [*PROPERTIES, "sequence:backward"])
def test_no_property_accuses_a_path_where_torch_itself_cannot_differentiate(name, make):
    report = jaccheck.check(make(), torch.ones(3, 2), paths="all", properties=[name])
    assert report.ok, report


@pytest.mark.parametrize("law", PROPERTIES.values(), ids=lambda law: law.name)
def test_a_cheap_property_takes_one_or_two_calls_on_the_problem_and_the_others_more(law):
    entries = []

    def note(model, x, J):
        entries.append(sum(j.numel() for j in J.values()))
        return J

    model, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)), torch.ones(4, 3)
    with planted(note) as path:
        check(model, x, paths=[path], properties=[law.name])
    assert (len(entries) <= 2 and max(entries) <= admit(model, x).elements) == law.cheap
