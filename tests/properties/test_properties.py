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
from jaccheck import check
from jaccheck._problem import admit
from jaccheck.paths import get
from jaccheck.properties import PROPERTIES
from jaccheck.properties._judge import Judge
from jaccheck.properties._trial import Trial


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
