"""Any sequence of what may happen to a model leaves what a path gives for it as it is for a fresh one."""

from __future__ import annotations

import json
from functools import partial
from threading import current_thread, main_thread

import pytest
import torch
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.stateful import run_state_machine_as_test
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from jaccheck import InvalidProblem, Network, Unsupported, check
from jaccheck._containers import Repeat, Residual, Switch
from jaccheck._finding import asked_of, examined
from jaccheck._layers import Activation, Linear
from jaccheck._problem import admit
from jaccheck._steps import STEPS
from jaccheck._values import Values
from jaccheck.defects.known import looked_up
from jaccheck.fuzz.machine import machine
from jaccheck.paths import get, paths, register_path, unregister_path
from jaccheck.paths._path import leaf
from jaccheck.properties import PROPERTIES
from jaccheck.properties._happenings import HAPPENINGS
from jaccheck.properties._stage import Stage
from jaccheck.properties.sequence import LENGTH, drawn
from jaccheck.selftest.faults import bank
from jaccheck.strategies import in_use, networks
from tests.planted import doubled, planted

NETWORKS = networks(max_outputs=6, max_width=5, max_depth=2, residual=True, containers=True, functional=True)


def run(path, **options):
    """AssertionError where `path` gives another result."""
    settled = settings(stateful_step_count=6, report_multiple_bugs=False, **options)
    run_state_machine_as_test(machine(path, NETWORKS), settings=settled)


@pytest.mark.parametrize("name", paths())
def test_every_path_gives_what_it_gives_for_a_fresh_model(name):
    run(get(name), max_examples=settings().max_examples // 8)


@pytest.mark.parametrize("name", ["second_call", "broken_by_an_exception", "reuses_memory"])
def test_the_machine_catches(name):
    with bank()[name].inject(), pytest.raises(AssertionError):
        run(get(name), phases=[Phase.generate], derandomize=True, max_examples=500)


def test_the_same_problem_has_the_same_steps():
    steps = [drawn(admit(*Network.from_json(text).build())) for text in (ONE, ONE, OTHER)]
    assert steps[0] == steps[1] != steps[2]
    assert len(steps[0]) == LENGTH


def test_each_step_has_its_happening():
    assert HAPPENINGS.keys() == STEPS.keys()


def judged(network, path):
    return check(*network.build(), paths=(path,), properties=(asked_of(network, "sequence"),)).verdicts[path]


SHORTEST = {"wrong_in_another_thread": "thread", "broken_by_an_exception": "interrupt"}
FEW = in_use(
    NETWORKS, max_steps=4, steps=("again", "eval", "thread", "interrupt", "deepcopy", "other_input", "backward")
)
"""A step is a call of a path: with sixteen of all of them it would take ten times as long."""


@pytest.mark.long
@pytest.mark.parametrize("name", SHORTEST)
def test_what_fails_shrinks_to_the_shortest_sequence_and_says_it(name):
    options = settings(max_examples=2000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    with bank()[name].inject():
        small = find(FEW, lambda network: judged(network, name).status == "disagrees", settings=options)
        report, found = examined(small, (name,), ("sequence",))
        again = examined(Network.from_json(small.to_json()), (name,), ("sequence",))[1]
    assert small.steps == (SHORTEST[name],)
    assert STEPS[SHORTEST[name]] in report.verdicts[name].reason
    assert [failure.property for failure in found] == ["sequence"]
    assert found.keys() == again.keys()
    assert f"sequence:{','.join(small.steps)}" in next(iter(found.values())).again


@pytest.mark.parametrize(
    ("law", "words"),
    [
        ("sequence:deepcpy", r"sequence\[0\] is 'deepcpy', but .*; did you mean 'deepcopy'\?"),
        ("sequence:deepcopy,dance", r"sequence\[1\] is 'dance', but should be one of again"),
        ("state:deepcopy", "the property 'state' takes no argument"),
        ("sequense", "did you mean 'sequence'"),
    ],
)
def test_what_is_no_sequence_is_refused(law, words):
    with pytest.raises(InvalidProblem, match=words):
        check(*Network.from_json(ONE).build(), properties=(law,))


ONE = '{"format": 1, "layers": [{"kind": "Linear"}], "x": {"numbers": [1]}}'
OTHER = '{"format": 1, "layers": [{"kind": "Linear"}], "x": {"numbers": [2]}}'


ADDING = ["leaves_a_parameter", "leaves_a_buffer", "leaves_a_module", "freezes"]


@pytest.mark.long
@pytest.mark.parametrize("name", ADDING)
def test_what_a_path_adds_to_the_model_is_a_finding_and_no_crash(name):
    """All steps are tried, also those that copy the model in use."""
    with bank()[name].inject():
        for step in STEPS:
            network = Network.from_json(ONE)
            report = check(*network.build(), paths=(name,), properties=(f"sequence:{step}", "state"), images=False)
            assert report.verdicts[name].status == "disagrees", step


def test_layers_of_chance_draw_the_same_numbers_for_the_users_own_gradients():
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(), nn.Linear(8, 2))
    x = torch.ones(3, 2)
    report = check(model, x, paths=("autograd",), properties=("sequence:backward_after,backward",), seed=3)
    assert report.ok, report


def test_dropout_may_be_in_another_mode_than_the_model():
    def in_one_mode(model, x, J):
        modes = {module: module.training for module in model.modules()}
        model.train(model.training)
        try:
            return get("autograd").jacobian(model, x)
        finally:
            for module, training in modes.items():
                module.training = training

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(), nn.Linear(8, 2)).eval()
    with planted(in_one_mode, base="autograd") as path:
        report = check(model, torch.ones(3, 2), paths=(path, "autograd"), properties=("sequence:mixed_modes",))
    assert {name: verdict.status for name, verdict in report.verdicts.items()} == {
        path: "disagrees",
        "autograd": "agrees",
    }


class Normalized(nn.Module):
    """Its few rows are divided among threads in the backward pass, and so summed in another way."""

    def __init__(self, normalization, features=3):
        super().__init__()
        self.normalization, self.last = normalization, nn.Linear(features, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.normalization(x)).sum(1))


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return nn.functional.layer_norm(x, (3,), self.weight)


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm(3), Functional(), nn.BatchNorm1d(7).eval()], ids=["layer", "function", "batch"]
)
def test_sums_that_threads_divide_are_not_asked_for_bits(layer):
    torch.manual_seed(0)
    stage = Stage(admit(Normalized(layer), torch.randn(3, 7, 3)), get("autograd"))
    assert HAPPENINGS["threads"](stage) is None


def test_nor_are_products_that_they_divide():
    torch.manual_seed(0)
    for outputs in range(3, 24):
        stage = Stage(
            admit(nn.Sequential(nn.Linear(5, outputs), nn.Linear(outputs, 2)), torch.randn(9, 5)), get("autograd")
        )
        assert HAPPENINGS["threads"](stage) is None


@pytest.mark.parametrize("network", [nn.Linear(3, 1), Normalized(nn.Identity())], ids=["a layer", "a sum"])
def test_a_path_that_is_wrong_with_more_threads_is_found(network):
    with bank()["wrong_with_more_threads"].inject():
        x = torch.ones(2, 3) if isinstance(network, nn.Linear) else torch.ones(2, 7, 3)
        report = check(network, x, paths=["wrong_with_more_threads"], properties=["sequence:threads"])
        assert not report.ok


def test_what_the_steps_leave_behind_is_no_ones_fault_in_the_next_property():
    laws = ("sequence:extend,again", "state", "layout")
    report = check(nn.Linear(3, 3), torch.ones(2, 3), paths=("autograd", "batch_grad", "vmap_jacrev"), properties=laws)
    assert report.ok, report


def nested_sums(seed):
    def weights(number):
        return Values("uniform", seed=number)

    inner = Residual((Linear(0, weight=weights(seed)), Activation("Tanh")))
    layers = (Linear(3, weight=weights(seed + 3)), Activation("Tanh"), Residual((inner,)), Linear(2, weights(seed + 7)))
    return Network(layers, batch=2, inputs=(3,), x=weights(seed), dtype="float32").build()


def test_hooks_that_change_the_order_in_which_gradients_are_summed_up_are_no_ones_fault():
    """In ``a + (a + f(a))`` autograd adds three gradients, with hooks in another order, and rounds otherwise."""
    for seed in range(1, 6):
        report = check(*nested_sums(seed), paths="all", properties=["sequence:extend,again"])
        assert report.ok, report


def test_a_path_that_is_wrong_on_a_model_with_hooks_is_found():
    def wrong(model, x, J):
        return doubled(model, x, J) if any("_backpack_extend" in vars(module) for module in model.modules()) else J

    with planted(wrong, base="autograd") as path:
        model, x = nested_sums(1)
        assert check(model, x, paths=[path]).ok
        assert not check(model, x, paths=[path], properties=["sequence:extend,again"]).ok


class RaisesInThreads:
    name = "raises_in_threads"

    def jacobian(self, model, x):
        if current_thread() is not main_thread():
            raise LookupError("there is nothing here")
        return get("autograd").jacobian(model, x)


def test_what_is_raised_after_a_step_is_no_value():
    network = Network.from_json(ONE)
    register_path(RaisesInThreads())
    try:
        report = check(*network.build(), paths=("raises_in_threads",), properties=("sequence:thread",))
    finally:
        unregister_path("raises_in_threads")
    verdict = report.verdicts["raises_in_threads"]
    assert verdict.kind == "raised"
    assert verdict.reason == (
        f"it raised LookupError: there is nothing here in {STEPS['thread']}, there was no exception for a fresh model"
    )
    json.dumps(report.to_json())


def test_a_path_may_not_refuse_a_model_in_use_in_a_state_in_which_it_does_a_fresh_one():
    calls = {}

    class Refusing:
        name = "refusing"

        def jacobian(self, model, x):
            calls[model] = calls.get(model, 0) + 1
            if not model.training and calls[model] > 1:
                raise Unsupported("in use")
            return get("autograd").jacobian(model, x)

    register_path(Refusing())
    try:
        report = check(*Network.from_json(ONE).build(), paths=("refusing",), properties=("sequence:eval",))
    finally:
        unregister_path("refusing")
    assert report.verdicts["refusing"].kind == "raised"
    assert "it raised Unsupported: in use during a call in eval mode" in report.verdicts["refusing"].reason


@pytest.mark.parametrize("cause", [True, False])
def test_a_refusal_may_not_hide_an_exception_of_the_users(cause):
    class Refusing:
        name = "refusing"

        def jacobian(self, model, x):
            try:
                return get("autograd").jacobian(model, x)
            except Exception as error:
                raise Unsupported(str(error)) from error if cause else None

    register_path(Refusing())
    try:
        report = check(*Network.from_json(ONE).build(), paths=("refusing",), properties=("sequence:interrupt",))
    finally:
        unregister_path("refusing")
    assert report.ok is cause


SHOWS = {
    "gradients_on_at_the_end": "no_grad",
    "kept_by_the_first_parameter": "small_update",
    "kept_by_rounded_numbers": "small_update",
    "kept_by_weights": "update_one",
    "kept_by_what_is_trainable": "freeze",
    "kept_by_the_inputs_version": "one_sample",
    "wrong_after_all_were_frozen": "all_frozen",
    "wrong_after_another_head": "new_head",
    "wrong_after_another_structure": "new_head",
    "wrong_after_no_samples": "other_samples",
    "modules_of_the_first_call": "new_module",
    "swallows_memory_error": "interrupt",
    "no_grad_behind_an_exception": "interrupt",
}


@pytest.mark.parametrize(("fault", "step"), SHOWS.items())
def test_a_step_shows_what_it_is_for(fault, step):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(2, 3)
    with bank()[fault].inject():
        assert check(model, x, paths=[fault], properties=["sequence:again"]).ok
        found = [check(model, x + k, paths=[fault], properties=[f"sequence:{step}"]) for k in range(6)]  # by chance
    assert not all(report.ok for report in found)


def only_by_default(model, x, J):
    """Wrong for LeakyReLU with another slope than the usual one, for a Sigmoid and in float64, of fresh models too."""
    usual = all(layer.negative_slope == 0.01 for layer in model.modules() if isinstance(layer, nn.LeakyReLU))
    right = usual and x.dtype == torch.float32 and not any(isinstance(layer, nn.Sigmoid) for layer in model.modules())
    return J if right else doubled(model, x, J)


@pytest.mark.parametrize("step", ["settings", "new_activation", "move"])
def test_what_is_wrong_for_a_while_is_found_though_a_fresh_model_has_it_too(step):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.Linear(4, 2)), torch.randn(2, 3)
    with planted(only_by_default) as path:
        verdicts = [
            check(model, x, paths=(path,), properties=(f"sequence:{steps}",)).verdicts[path]
            for steps in ("eval", f"eval,{step}", f"eval,freeze,{step}")  # no more than two are asked
        ]
    assert [verdict.status for verdict in verdicts] == ["agrees", "disagrees", "agrees"]
    assert (verdicts[1].property, verdicts[1].kind) == ("sequence", "value")
    assert verdicts[1].reason == f"during {STEPS[step]}, and for a fresh model, too"
    assert verdicts[1].got == pytest.approx(2 * verdicts[1].centre)


def test_a_known_defect_for_a_while_is_known_and_another_fault_is_not():
    """BackPACK is wrong of a layer that is used twice; the part that does so isn't active at first."""
    layers = Switch((Linear(2),), (Repeat((Linear(2, weight=Values("cycle", numbers=(2.0,))),)),))
    network = Network((layers,), inputs=(2,), batch=2, x=Values("cycle", numbers=(1.0,)), steps=("settings",))
    _, failures, known = looked_up(network, ("batch_grad",), ("sequence", "enclosure"))
    assert [failure.property for failure in failures] == ["sequence"]
    assert [defect.id for defects in known.values() for defect in defects] == ["batch-grad-layer-used-twice"]
    with planted(lambda model, x, J: doubled(model, x, J) if model[0].active else J, base="batch_grad") as path:
        _, failures, known = looked_up(network, (path,), ("sequence",))
    assert failures
    assert not known


class Listing(nn.Module):
    """It keeps its layer in a list, too, and goes through that."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.steps = [self.layer]

    def forward(self, x):
        return self.steps[0](x)


def test_a_layer_that_the_model_keeps_elsewhere_is_not_replaced():
    report = check(Listing(), torch.ones(2, 3), paths=["autograd"], properties=["sequence:new_module,again"])
    assert report.ok, report


class Counting(nn.Module):
    """It changes with each call."""

    def __init__(self, how):
        super().__init__()
        self.layer, self.how = nn.Linear(10, 3), how
        if "attribute" in how:
            self.calls = 1.0 if "number" in how else torch.tensor(1.0)
        else:
            self.register_buffer("calls", torch.tensor(1.0))
        self.function = lambda y: torch.tanh(y)  # whatever a copy keeps is called once, to see what it is bound to

    def forward(self, x):
        match self.how:
            case "in place":
                self.calls += 1
            case "a layer anew":
                self.new = nn.Identity()
            case "a buffer made of parameters":
                self.calls = 2 + self.layer.weight.mean()
            case _:
                self.calls = self.calls + 1
        return self.function(self.layer(x)) / self.calls


CHANGING = {
    "batch normalization": lambda: nn.Sequential(
        nn.Linear(10, 9), nn.BatchNorm1d(9), nn.SiLU(), nn.Linear(9, 3)
    ).eval(),
    "spectral norm": lambda: nn.Sequential(spectral_norm(nn.Linear(10, 9)), nn.Tanh(), nn.Linear(9, 3)),
    **{how: partial(Counting, how) for how in ("in place", "by assignment", "a number as attribute")},
    **{how: partial(Counting, how) for how in ("a tensor as attribute", "a layer anew", "a buffer made of parameters")},
}


class Bare:
    """It leaves it to others to put back what the model's own forward changes."""

    name = "bare"

    def jacobian(self, model, x):
        parameters = dict(model.named_parameters())
        with torch.inference_mode(False), torch.enable_grad():
            f = model(leaf(x))
            rows = [torch.autograd.grad(y, list(parameters.values()), retain_graph=True) for y in f.flatten()]
        columns = zip(parameters.items(), zip(*rows, strict=True), strict=True)
        return {name: torch.stack(column).view(*f.shape, *p.shape) for (name, p), column in columns}


EVERY = [step for step in STEPS if step != "extend"]
SEVERAL = [",".join(["again", *EVERY[i::5]]) for i in range(5)] + ["again,extend,again"]
"""Sequences that have all steps, BackPACK's last, with which others are passed over."""


@pytest.mark.parametrize("steps", SEVERAL)
@pytest.mark.parametrize("name", CHANGING)
def test_a_model_that_changes_by_itself_is_no_fault_of_a_path(name, steps):
    """Each path meets each model, and each step."""
    torch.manual_seed(0)
    model, x = CHANGING[name](), torch.randn(2, 10)
    ours = ["autograd", "vmap_jacrev"] + ([] if "attribute" in name else ["bare"])
    path = ours[(SEVERAL.index(steps) + list(CHANGING).index(name)) % len(ours)]
    register_path(Bare())
    try:
        report = check(model, x, paths=[path], properties=[f"sequence:{steps}"])
    finally:
        unregister_path("bare")
    assert report.ok, report


class Part(nn.Module):
    """A part of it is compiled."""

    def __init__(self, compiled):
        super().__init__()
        self.first, self.compiled = nn.Linear(3, 3), compiled

    def forward(self, x):
        return self.compiled(self.first(x))


def plain():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


COMPILED = {
    "scripted": lambda x: torch.jit.script(plain()),
    "traced": lambda x: torch.jit.trace(plain(), x),
    "a part scripted": lambda x: Part(torch.jit.script(plain())),
    "a part traced": lambda x: Part(torch.jit.trace(plain(), x)),
}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated", "ignore:.*torch.jit.* is not supported")
@pytest.mark.parametrize(
    "law", [*(law for law in PROPERTIES if law != "sequence"), *(f"sequence:{steps}" for steps in SEVERAL)]
)
@pytest.mark.parametrize("name", COMPILED)
def test_no_property_accuses_a_path_on_what_torch_jit_has_compiled(name, law):
    torch.manual_seed(0)
    x = torch.randn(3, 3)
    first = (list(COMPILED).index(name) + name.startswith("a part")) % 2
    report = check(COMPILED[name](x), x, paths=paths()[first::2], properties=[law])  # scripted or traced, each path
    assert report.ok, report


class Keeping(nn.Module):
    """It keeps what isn't a leaf, or can't be pickled."""

    def __init__(self, keep):
        super().__init__()
        self.layer, self.keep, self.last = nn.Linear(2, 2), keep, None

    def forward(self, x):
        self.last = self.keep(self.layer(x))
        return self.layer(x)


class Backward:
    """It puts nothing back that the model keeps."""

    name = "backward"

    def jacobian(self, model, x):
        names, parameters = zip(*model.named_parameters(), strict=True)
        f = model(x)
        rows = [torch.autograd.grad(y, parameters, retain_graph=True) for y in f.flatten()]
        parts = (torch.stack(part) for part in zip(*rows, strict=True))
        return {name: part.view(*f.shape, *part.shape[1:]) for name, part in zip(names, parts, strict=True)}


def generator(t):
    yield t


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    ("make", "step"),
    [
        (lambda: nn.Linear(0, 2, bias=False), "update_one"),
        (lambda: Keeping(torch.tanh), "deepcopy"),
        (lambda: Keeping(generator), "deepcopy"),
        (lambda: Keeping(generator), "pickle"),
    ],
)
def test_a_step_that_fails_without_a_path_accuses_none(make, step):
    model = make()
    x = torch.ones(2, next(model.parameters()).shape[1])
    path = Backward()
    register_path(path)
    try:
        verdict = check(model, x, paths=[path.name], properties=[f"sequence:{step}"]).verdicts[path.name]
    finally:
        unregister_path(path.name)
    assert verdict.status == ("vacuous" if step == "pickle" else "agrees"), verdict
    assert (verdict.reason or "").endswith("as it does without the path" if step == "pickle" else "")


def test_a_step_that_fails_because_of_what_a_path_leaves_behind_accuses_it():
    def leaving(model, x, J):
        model.left = (i for i in ())
        return J

    with planted(leaving, base="autograd") as path:
        verdict = check(nn.Linear(2, 2), torch.ones(2, 2), paths=[path], properties=["sequence:pickle"]).verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "raised")
