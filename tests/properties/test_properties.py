"""What all properties have in common."""

from __future__ import annotations

import gc
import weakref
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import jaccheck.properties
from jaccheck import Network, Unsupported, check, jacobian
from jaccheck._layers import Activation, Linear
from jaccheck._problem import admit
from jaccheck._values import Values
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Trial
from jaccheck.paths import get, paths
from jaccheck.properties import PROPERTIES
from tests.planted import planted


def test_each_is_a_file_and_in_the_list():
    files = {module.name for module in iter_modules(jaccheck.properties.__path__) if not module.name.startswith("_")}
    assert files == set(PROPERTIES)
    for name in files:
        assert import_module(f"jaccheck.properties.{name}").__doc__


# A NaN spreads to other samples; Dropout's mask: see known_defects.json.
KNOWN = {"batching": {"autograd", "autograd_batched"}, "forms": {"sqrt_ggn_exact"}}


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
    if watched() is not None:  # it may be part of a cycle; a collection takes half a second among all tests
        gc.collect()
    assert watched() is None


@pytest.mark.parametrize("law", PROPERTIES)
def test_a_path_that_can_not_do_the_model_is_unsupported(law):
    model = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2))
    verdict = check(model, torch.ones(3, 2), paths=("sqrt_ggn_exact",), properties=(law,)).verdicts["sqrt_ggn_exact"]
    assert verdict.status == "unsupported"
    assert verdict.property == law


def refusing(when):
    """A path that refuses what it does in other cases."""

    def fault(model, x, J):
        if when(model, x):
            raise Unsupported("not this one")
        return J

    return planted(fault)


@pytest.mark.parametrize(
    ("law", "when"),
    [
        ("layout", lambda model, x: not x.is_contiguous()),
        ("layout", lambda model, x: not all(p.is_contiguous() for p in model.parameters())),
        ("batching", lambda model, x: len(x) > 4),
        ("batching", lambda model, x: len(x) < 3),
    ],
)
def test_a_path_may_not_refuse_in_another_layout_or_batch_what_it_does(law, when):
    torch.manual_seed(0)
    with refusing(when) as path:
        verdict = check(nn.Linear(2, 3), torch.rand(3, 2), paths=(path,), properties=(law,)).verdicts[path]
    assert (verdict.status, verdict.kind, verdict.property) == ("disagrees", "raised", law)
    assert verdict.reason.endswith(": not this one; the problem itself it does")


@pytest.mark.parametrize(
    ("law", "when", "number"),
    [
        ("batching", lambda model, x: not x.isfinite().all(), "2 of 7"),
        ("sizes", lambda model, x: len(x) > 3, "25 of 54"),
    ],
)
def test_what_a_path_refuses_of_other_problems_is_counted(law, when, number):
    torch.manual_seed(0)
    with refusing(when) as path:
        verdict = check(nn.Linear(2, 3), torch.rand(3, 2), paths=(path,), properties=(law,)).verdicts[path]
    assert verdict.status == "agrees"
    assert verdict.reason.startswith(f"refused {number}")
    assert verdict.reason.endswith(": not this one")


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
    path = "vmap_jacrev" if law == "forms" else "batch_grad"  # which is known to be wrong of some
    verdict = check(*network.build(), paths=(path,), properties=(law,)).verdicts[path]
    reasons = ("the network isn't exact", "an activation is evaluated")
    assert verdict.status == "agrees" or any(words in verdict.reason for words in reasons), verdict


OF_THEIR_OWN = ("sizes", "every_input")
"""Properties whose models are made of the activations alone: what the model does beside them is no matter to them."""


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
    chosen = ("autograd", "batch_grad") if name in OF_THEIR_OWN else "all"
    report = jaccheck.check(make(), torch.ones(3, 2), paths=chosen, properties=[name])
    wrong = {path for path, verdict in report.verdicts.items() if verdict.status == "disagrees"}
    assert wrong <= (KNOWN["forms"] if name == "forms" else set()), report


class Keeping(nn.Module):
    """It keeps what it computes."""

    of_all = None

    def __init__(self, place):
        super().__init__()
        self.layer, self.place = nn.Linear(3, 2), place
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("last", torch.zeros(4, 2))
        self.by_name, self.every, self.nested = {}, [], [{"all": []}]

    def forward(self, x):
        y = self.layer(x)
        match self.place:
            case "a buffer":
                self.last = y.detach()
            case "a number in a buffer":
                self.calls += 1
            case "an attribute":
                self.kept = y
            case "an attribute of its class":
                Keeping.of_all = y
            case "an attribute of a layer":
                self.layer.kept = y
            case "a dict":
                self.by_name["last"] = y
            case "a list":
                self.every.append(y)
            case "a list in a dict in a list":
                self.nested[0]["all"].append(y)
        return y.tanh()


PLACES = (
    *("a buffer", "a number in a buffer", "an attribute", "an attribute of its class", "an attribute of a layer"),
    *("a dict", "a list", "a list in a dict in a list"),
)
KEEPING = [
    (place, law)
    for place in PLACES
    for law in [*PROPERTIES, "sequence:deepcopy,pickle,move,eval,other_samples,backward"]
    if law not in OF_THEIR_OWN or place in ("a buffer", "a list")
]


@pytest.mark.long
@pytest.mark.parametrize(("place", "law"), KEEPING)
def test_a_model_may_keep_what_it_computes(place, law):
    """Each path meets each place, and each property."""
    torch.manual_seed(0)
    first = (PLACES.index(place) + list(PROPERTIES).index(law.partition(":")[0])) % 2
    model, x = Keeping(place), torch.randn(4, 3)
    last = model.last
    report = check(model, x, paths=paths()[first::2], properties=[law])
    wrong = {name for name, verdict in report.verdicts.items() if verdict.status == "disagrees"}
    assert wrong <= KNOWN.get(law, set()), report
    assert model.last is last
    assert not model.by_name
    assert not model.every
    assert model.nested == [{"all": []}]
    assert "kept" not in {**vars(model), **vars(model.layer)}
    assert Keeping.of_all is None
    assert not model.calls


@pytest.mark.parametrize("name", ["vmap_jacrev", "vmap_jacfwd"])
@pytest.mark.parametrize("place", [place for place in PLACES if "number" not in place])
def test_nothing_of_torch_func_stays_in_what_a_model_keeps(place, name):
    model = Keeping(place)
    jacobian(model, torch.ones(4, 3), path=name)
    assert type(model.last) is Tensor
    assert not model.by_name
    assert not model.every
    assert not model.nested[0]["all"]


@pytest.mark.parametrize("law", PROPERTIES)
def test_a_model_with_a_spectral_norm_that_goes_on_is_no_crash(law):
    torch.manual_seed(0)
    model = nn.Sequential(spectral_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 2))
    report = check(model, torch.randn(3, 4), paths="all", properties=[law])
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
