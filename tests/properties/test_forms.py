"""The model's activations in other forms."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest
import torch
from torch import nn

from jaccheck import Network, check, register_path
from jaccheck._errors import InvalidProblem
from jaccheck._layers import Activation, Dropout, Linear
from jaccheck._modules import Either, Functional, Sum
from jaccheck._problem import admit
from jaccheck._values import Values
from jaccheck.defects.known import looked_up
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Trial
from jaccheck.paths import get, unregister_path
from jaccheck.properties import PROPERTIES
from jaccheck.properties._kinks import BIAS
from jaccheck.properties.forms import FORMS, Forms
from jaccheck.reproducer import reproducer
from jaccheck.selftest.faults import bank
from tests.sums import skip_where_rounded_each_time

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def problem(dtype=torch.float32, layer=nn.Tanh, k=0):
    model = nn.Sequential(nn.Linear(2, 2), layer()).to(dtype)
    return model, torch.full((3, 2), 1.0 + k, dtype=dtype)


def variants(**options):
    """By the form."""
    return dict(zip(FORMS, Forms().variants(admit(*problem(**options))), strict=True))


def test_the_activation_stands_in_each_form():
    made = {form: variant.takes[0].problem for form, variant in variants().items()}
    shapes = {form: (one.N, one.C, len(one.model[0].weight)) for form, one in made.items() if "as many" in form}
    (N, C, units), (N_of_one, C_of_one, units_of_one) = shapes.values()
    assert N == C == units
    assert (N_of_one, C_of_one) == (units_of_one, 1)
    assert made["behind samples that are flattened"].x.dim() > 2
    assert "0.weight" not in made["behind a frozen layer"].parameters
    assert type(made["before the first layer, and twice in a row"].model[0]) is nn.Tanh
    switch = made["behind the second part of a switch"].model[0]
    assert (type(switch), switch.active) == (Either, 1)
    sums = [[m for m in made[form].model.modules() if type(m) is Sum] for form in FORMS if "sum" in form]
    assert list(map(len, sums)) == [1, 2]
    assert type(made["as a function"].model[1]) is Functional
    assert 0 < made["behind Dropout"].model[1].p < 1
    assert made["behind Dropout"].seed == 0
    root, *layers = made["behind Dropout in a mode of its own"].model.modules()
    assert sum(m.training != root.training for m in layers if isinstance(m, nn.Dropout)) == 1


def test_function_has_the_parameters_of_the_layer():
    function = variants(layer=lambda: nn.LeakyReLU(0.3))["as a function"].takes[0].problem.model[1]
    assert function.parameters_ == {"negative_slope": 0.3}


def test_what_has_no_function_of_its_own_is_in_the_other_forms():
    found = variants(layer=lambda: nn.Threshold(0.1, 0.0))
    assert [form for form, variant in found.items() if isinstance(variant, InvalidProblem)] == ["as a function"]


def test_another_problem_has_other_numbers():
    first, second = (variants(k=k)["in a residual sum"].takes[0].problem for k in (0, 1))
    assert not torch.equal(first.model[0].weight, second.model[0].weight)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layer", [nn.Tanh, nn.Sigmoid, nn.ReLU, nn.ELU, nn.SELU, nn.LeakyReLU, nn.LogSigmoid, nn.GELU])
def test_most_entries_that_are_wrong_by_half_would_show_in_each_form(layer, dtype):
    skip_where_rounded_each_time(dtype)
    for variant in variants(dtype=dtype, layer=layer).values():
        oracle = variant.judge.oracle
        balls = [oracle.rows(name, slice(None), slice(None)) for name in oracle.jacobians()]
        shows = torch.cat([(b.radius < b.centre.abs() / 2)[b.centre != 0].flatten() for b in balls])
        assert len(shows)
        assert float(shows.double().mean()) > (0.5 if dtype == torch.bfloat16 else 0.9), variant.words


def by_chance():
    """A problem that draws random numbers, as `check` has it with a seed."""
    return nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.25), nn.Tanh(), nn.Linear(3, 1)), torch.ones(2, 2)


def test_everything_is_dropped_where_the_problem_draws_random_numbers():
    made = [*Forms().variants(admit(*by_chance(), seed=3))]
    assert len(made) == len(FORMS) + 1
    assert made[-1].takes[0].problem.model[1].p == 1
    with bank()[EVERYTHING].inject():
        report = check(*by_chance(), paths=("autograd", EVERYTHING), properties=("forms",), seed=3)
    assert [verdict.status for verdict in report.verdicts.values()] == ["agrees", "disagrees"]


EVERYTHING = "dropout_of_everything_nan"
FAULTS = [fault.name for fault in bank().values() if fault.family == "forms" and fault.name != EVERYTHING]


BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


@BOTH
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_form_is_found_whatever_the_problem_is(name, dtype):
    with bank()[name].inject():
        report = check(*problem(dtype), paths=(name,), properties=("forms",))
    assert report.verdicts[name].status == "disagrees"


@BOTH
def test_without_a_fault_there_is_nothing_to_find(dtype):
    verdict = check(*problem(dtype), paths=("autograd",), properties=("forms",)).verdicts["autograd"]
    assert verdict.status == "agrees"


def test_a_parameter_that_is_zero_is_among_those_that_are_tried():
    name = "leaky_slope_of_zero"
    with bank()[name].inject():
        reports = [check(*problem(k=k), paths=(name,), properties=("forms",)) for k in range(8)]
    assert {report.verdicts[name].status for report in reports} == {"agrees", "disagrees"}


def test_a_function_that_is_wrong_at_its_kink_alone_is_found_there():
    with bank()["functional_relu_closed"].inject():
        verdict = check(*problem(), paths=("functional_relu_closed",), properties=("forms",)).verdicts[
            "functional_relu_closed"
        ]
    assert (verdict.parameter, verdict.property) == (BIAS, "forms")
    assert "at its kink 0.0" in verdict.reason


def test_what_is_told_of_a_kink_is_told_of_its_case_which_comes_first():
    """As it does in the verdict: if the kink is known to be wrong, another fault behind it is told."""
    law, one = PROPERTIES["forms"], admit(*problem())
    with bank()["functional_relu_closed"].inject():
        trial = Trial(one, get("functional_relu_closed"), Judge(one))
        first, *others = law.cases(one, trial.path)
        told, verdict = law.of(trial, first.problem), law.judge(trial)
        assert not any(law.of(trial, case.problem) for case in others)
    assert replace(told, seconds=None) == replace(verdict, seconds=None)
    assert told.property == "forms"
    assert "at its kink 0.0" in told.reason


LAYERS = (Linear(2), Dropout(0.25), Activation("Tanh"), Linear(1))
NETWORK = Network(LAYERS, inputs=(2,), x=Values("uniform", seed=1), dtype="float32", training=True)


def test_what_backpack_is_known_to_do_wrong_is_explained():
    found = looked_up(NETWORK, ("autograd", "batch_grad", "sqrt_ggn_exact"), ("forms",))
    ids = {failure.path: {defect.id for defect in defects} for failure, defects in found.known.items()}
    assert ids.keys() == {"sqrt_ggn_exact"}
    assert "sqrt-ggn-dropout-all" in ids["sqrt_ggn_exact"]
    assert found.failures.keys() == found.known.keys()


@pytest.mark.parametrize(
    ("name", "path"),
    [("kernel_tanh_halved", "batch_grad"), ("backpack_linear_weight_transposed", "sqrt_ggn_exact")],
)
def test_a_fault_beside_it_is_not(name, path):
    with bank()[name].inject():
        found = looked_up(NETWORK, (path,), ("forms",))
    assert {failure.path for failure in found.failures} == {path}
    assert not found.known


def test_nor_another_exception_where_one_is_known(monkeypatch):
    right = get("sqrt_ggn_exact").jacobian

    def jacobian(self, model, x):
        if any(isinstance(layer, nn.Dropout) and layer.p == 1 for layer in model.modules()):
            raise ArithmeticError("another one")
        return right(model, x)

    monkeypatch.setattr(type(get("sqrt_ggn_exact")), "jacobian", jacobian)
    found = looked_up(NETWORK, ("sqrt_ggn_exact",), ("forms",))
    assert [failure.path for failure in found.failures] == ["sqrt_ggn_exact"]
    assert not found.known


@pytest.mark.parametrize(
    "model", [nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))]
)
@pytest.mark.parametrize("N", [0, 2])
def test_without_activations_samples_or_some_gradients_the_forms_are_the_same(model, N):
    report = check(model, torch.ones(N, 2), paths=("autograd", "vmap_jacrev", "vmap_jacfwd"), properties=("forms",))
    assert report.ok
    assert report.verdicts["autograd"].status == "agrees"
    assert report.verdicts["autograd"].elements > 500


def test_a_model_of_which_nothing_is_known_has_nothing_to_say():
    model, x = nn.Sequential(nn.Linear(2, 2), nn.MaxPool1d(1)), torch.ones(1, 2)
    verdict = check(model, x, paths=("autograd",), properties=("forms",)).verdicts["autograd"]
    assert verdict.status == "vacuous"
    assert "no enclosure for MaxPool1d" in verdict.reason


class Stated:
    """Half, where the condition holds of the model."""

    name = "stated"

    def __init__(self, when):
        self.snippet = f"""
        def jacobian(model, x):
            f = model(x)
            half = 0.5 if {when} else 1
            every = {{name: p for name, p in model.named_parameters() if p.requires_grad}}
            options = dict(retain_graph=True, allow_unused=True)
            rows = [torch.autograd.grad(y, [*every.values()], **options) for y in f.flatten()]
            rows = [[torch.zeros_like(p) if g is None else g * half for g, p in zip(r, every.values())] for r in rows]
            return {{name: torch.stack(j).view(*f.shape, *j[0].shape) for name, j in zip(every, zip(*rows))}}
        """

    def jacobian(self, model, x):
        names = {"torch": torch, "nn": nn}
        exec(dedent(self.snippet), names)
        return names["jacobian"](model, x)


@pytest.mark.parametrize(
    ("when", "line"),
    [
        ("type(model[0]).__name__[:6] == 'Either'", "self.parts[1](x)"),
        ("isinstance(model[1], nn.Dropout)", "nn.Dropout("),
    ],
)
def test_a_script_shows_the_form(when, line):
    register_path(Stated(when))
    try:
        model, x = problem()
        report = check(model, x, paths=("stated",), properties=("forms",))
        assert report.verdicts["stated"].kind == "value"
        script = reproducer(model, x, report)
        assert line in script
        assert ("torch.manual_seed(0)" in script) == ("Dropout" in line)
    finally:
        unregister_path("stated")
