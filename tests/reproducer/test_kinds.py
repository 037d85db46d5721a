"""A script for each kind of verdict and each property, which shows the fault, and shows that it is gone without it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from jaccheck import Network, check, register_path
from jaccheck._report import ForwardFinding, ProblemFacts, Report
from jaccheck._state import untouched
from jaccheck._steps import STEPS
from jaccheck.paths import unregister_path
from jaccheck.reproducer import NoReproducer, reproducer, run
from jaccheck.reproducer._script import script
from jaccheck.reproducer._sequences import LINES, ending
from jaccheck.reproducer._tensors import number

SNIPPET = """
from torch.func import functional_call, jacrev, vmap

calls = []


def jacobian(model, x):
    params = {{name: p.detach() for name, p in model.named_parameters() if p.requires_grad}}

    def f(params, sample):
        return functional_call(model, params, (sample[None],))[0]

    J = vmap(jacrev(f), in_dims=(None, 0))(params, x.detach())
    {fault}
    return J
"""


class Stated:
    """A path that is what its snippet says."""

    name = "stated"

    def __init__(self, fault: str) -> None:
        self.snippet = SNIPPET.format(fault=fault)

    def jacobian(self, model, x):
        names = {"torch": torch, "nn": nn}
        if not hasattr(self, "defined"):
            exec(self.snippet, names)
            self.defined = names["jacobian"]
        return self.defined(model, x)


FAULTS = {
    "value": ("J = {name: 2 * j for name, j in J.items()}", "enclosure", "value"),
    "raised": ("if len(x) > 1: raise ArithmeticError('two are too many')", "enclosure", "raised"),
    "shape": ("J = {name: j.transpose(0, 1) for name, j in J.items()}", "enclosure", "shape"),
    "dtype": ("J = {name: j.double() for name, j in J.items()}", "enclosure", "shape"),
    "missing": ("J = {name: j for name, j in J.items() if 'bias' not in name}", "enclosure", "missing"),
    "None": ("J = None", "enclosure", "missing"),
    "drifting": (
        "calls.append(1); J = {name: j * (1 + len(calls) * 2.0**-24) for name, j in J.items()}",
        "determinism",
        "nondeterministic",
    ),
    "gradients": ("for p in model.parameters(): p.grad = torch.zeros_like(p)", "state", "state"),
    "an attribute": ("model.left = 3", "state", "state"),
    "on a parameter": ("for p in model.parameters(): p.left = J", "state", "state"),
    "a hook": ("model.register_forward_hook(lambda *call: None)", "state", "state"),
    "the mode": ("model.train(not model.training)", "state", "state"),
    "random numbers": ("torch.rand(1)", "state", "state"),
    "the input": ("x.detach().add_(1)", "state", "state"),
    "the parameters": ("for p in model.parameters(): p.data.add_(1)", "state", "state"),
    "their memory": ("for p in model.parameters(): p.data = p.detach().clone()", "state", "state"),
    "a flag": ("torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark", "state", "state"),
    "how tensors are printed": (
        "torch.set_printoptions(precision=torch._tensor_str.PRINT_OPTS.precision + 1)",
        "state",
        "state",
    ),
    "requires_grad": ("for p in model.parameters(): p.requires_grad_(False)", "state", "state"),
    "even batches": ("if len(x) > 2 and len(x) % 2 == 0: raise ValueError('odd, please')", "batching", "raised"),
    "larger batches": ("J = {name: j if len(x) < 4 else -j for name, j in J.items()}", "batching", "value"),
    "strides": ("J = {name: j if x.is_contiguous() else -j for name, j in J.items()}", "layout", "value"),
    "an offset": ("J = {name: j if not x.storage_offset() else -j for name, j in J.items()}", "layout", "value"),
    "negated": ("J = {name: -j if x.is_neg() else j for name, j in J.items()}", "layout", "value"),
    "their strides": (
        "J = {name: j if all(p.is_contiguous() for p in model.parameters()) else -j for name, j in J.items()}",
        "layout",
        "value",
    ),
}


@pytest.fixture
def problem():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.rand(3, 2)
        with untouched(model, x):  # scripts that leave something behind run in this process
            yield model, x


def script_of(fault, model, x, law):
    register_path(Stated(fault))
    try:
        report = check(model, x, paths=("stated",), properties=(law,))
        return report.verdicts["stated"], reproducer(model, x, report)
    finally:
        unregister_path("stated")


@pytest.mark.parametrize("name", FAULTS)
def test_a_script_shows_the_fault_and_that_it_is_gone_without_it(name, problem):
    fault, law, kind = FAULTS[name]
    verdict, text = script_of(fault, *problem, law)
    assert verdict.kind == kind
    assert len(text.splitlines()) <= 43  # the path takes 11 of them
    assert "jaccheck" not in text
    assert text.count(fault) == 1
    status, said = run(text)
    assert status == 1
    assert re.match(r"got {7}.*^expected  .*^allowed   ", said, re.DOTALL | re.MULTILINE)
    assert run(text.replace(fault, "pass"))[0] == 0


SEQUENCES = {
    "again": "calls.append(model); J = {name: j * calls.count(model) for name, j in J.items()}",
    "grad": "J = {name: j if model.get_parameter(name).grad is None else 2 * j for name, j in J.items()}",
    "eval": "model.k = getattr(model, 'k', 1) if model.training else 2; J = {n: model.k * j for n, j in J.items()}",
    "thread": "J = J if threading.current_thread() is threading.main_thread() else {k: -j for k, j in J.items()}",
    "update": "model.J = getattr(model, 'J', J); J = model.J",
    "update_data": "key = str([sorted(p.flatten().tolist()) for p in model.parameters()]); "
    "model.kept = getattr(model, 'kept', {}); J = model.kept.setdefault(key, J)",
    "small_update": "key = str([p.bfloat16().tolist() for p in model.parameters()]); "
    "model.kept = getattr(model, 'kept', {}); J = model.kept.setdefault(key, J)",
    "one_sample": "model.kept = getattr(model, 'kept', {}); J = model.kept.setdefault(x._version, J)",
    "exchange": "key = tuple(p.data_ptr() for p in model.parameters()); "
    "model.kept = getattr(model, 'kept', {}); J = model.kept.setdefault(key, J)",
    "deterministic": "J = {k: -j if torch.are_deterministic_algorithms_enabled() else j for k, j in J.items()}",
    "anomaly": "J = {k: -j if torch.is_anomaly_enabled() else j for k, j in J.items()}",
    "hooks": "J = {k: -j if any(m._forward_hooks for m in model.modules()) else j for k, j in J.items()}",
    "deepcopy": "J = {k: -j if hasattr(model, 'mark') else j for k, j in J.items()}; model.mark = 1",
}


@pytest.mark.parametrize("step", SEQUENCES)
def test_a_sequence_is_written_out_in_plain_torch(step, problem):
    fault = SEQUENCES[step]
    model, x = problem
    model.append(nn.Linear(2, 2))
    path = Stated(fault)
    path.snippet = f"import threading\n{path.snippet}"
    register_path(path)
    try:
        report = check(model, x, paths=("stated",), properties=(f"sequence:{step}",))
        assert report.verdicts["stated"].kind == "value"
        text = reproducer(model, x, report)
    finally:
        unregister_path("stated")
    assert run(text)[0] == 1
    assert run(text.replace(fault, "pass"))[0] == 0


@pytest.mark.parametrize("step", LINES)
def test_the_lines_of_each_step_run_and_a_right_path_passes_them(step, problem):
    words = f"'0.weight'[0] was 1.0 after another call, {STEPS[step]} and load_state_dict, 2.0 for a fresh model"
    text = script("A right path.", "", *problem, SNIPPET.format(fault="pass"), ending(words))
    assert f"# {STEPS[step]}" in text
    assert run(text)[0] == 0


def test_a_sequence_without_words_or_lines_is_said():
    with pytest.raises(NoReproducer, match="there is no script for this sequence: it just happened"):
        ending("it just happened")
    with pytest.raises(NoReproducer, match="no lines of plain torch for 'calls of other paths'"):
        ending(f"x was 1 after {STEPS['other_paths']} and {STEPS['load']}, 2 for a fresh model")


def test_an_activation_that_is_wrong_for_few_arguments_is_shown_by_one_of_them():
    fault = "J = {name: torch.where((x @ params['0.weight'].mT + params.get('0.bias', 0) == 3).any(), 2 * j, j) "
    fault += "if j.shape[1:] == (1, 1) else j for name, j in J.items()}"
    network = Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}, {"kind": "Tanh"}], "dtype": "float16"}')
    path = Stated(fault)
    register_path(path)
    try:
        model, x = network.build()
        with torch.no_grad():
            model[0].bias.fill_(3)
        report = check(model, x, paths=("stated",))
        assert run(reproducer(model, x, report))[0] == 1
    finally:
        unregister_path("stated")


def test_a_wrong_forward_pass_is_shown_by_the_layer_where_it_begins():
    model, x = nn.Sequential(nn.Linear(1, 1), nn.ReLU()), torch.ones(1, 1)
    with torch.no_grad():
        model[0].weight.fill_(2)
        model[0].bias.zero_()
    facts = ProblemFacts(1, 1, {"0.weight": (1, 1)}, "float32", "cpu")
    report = Report({}, facts, ForwardFinding("1", (0, 0), 2.0, 3.0, 1e-7, 1e7))
    text = reproducer(model, x, report)
    assert "register_forward_hook" in text
    assert run(text)[1].splitlines()[0] == "got       2.0"
    right = Report({}, facts, ForwardFinding("1", (0, 0), 2.0, 2.0, 1e-7, 0.0))
    with pytest.raises(NoReproducer, match="outside of jaccheck it doesn't show"):
        reproducer(model, x, right)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda model: model.register_forward_hook(lambda *call: None), "has hooks"),
        (lambda model: model[0].weight.register_hook(lambda g: g), "parameter '0.weight' has hooks"),
        (lambda model: setattr(model[0], "forward", model[0].forward), "a forward pass, or a parametrization, of its"),
        (lambda model: model.append(nn.LayerNorm(2)), "a layer of the class LayerNorm needs more than a line"),
        (lambda model: setattr(model[1], "__class__", type("Mine", (nn.Tanh,), {})), "class Mine needs more"),
        (lambda model: model.append(nn.Linear(2, 2000)), "a tensor holds 4000 numbers"),
    ],
)
def test_what_cannot_be_written_down_is_said(change, says, problem):
    model, x = problem
    change(model)
    with pytest.raises(NoReproducer, match=says):
        script_of("J = None", model, x, "enclosure")


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (0.10000000149011612, torch.float32, "0.1"),
        (0.0999755859375, torch.float16, "0.1"),
        (0.10009765625, torch.bfloat16, "0.1"),
        (0.1, torch.float64, "0.1"),
        (1 / 3, torch.float64, "0.3333333333333333"),
        (-0.0, torch.float32, "-0.0"),
        (65504.0, torch.float16, "65500.0"),
        (float("nan"), torch.float32, "nan"),
        (float("-inf"), torch.float32, "-inf"),
    ],
)
def test_numbers_are_as_short_as_their_dtype_lets_them_be(value, dtype, expected):
    assert number(value, dtype) == expected
    if value == value:
        assert torch.tensor(float(expected), dtype=dtype).item() == value
