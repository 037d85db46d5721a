"""What is called exact is: each sum in each order, each activation's value and derivative; and all paths give it."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from torch import nn

from jaccheck import Network, check, register_path
from jaccheck._layers import Activation, Linear
from jaccheck._values import FORMATS, Values
from jaccheck.enclosure import Ball
from jaccheck.enclosure.rules import Wire, layer_call
from jaccheck.enclosure.rules._activation import Elementwise
from jaccheck.paths import exactly, get, mode, paths, unregister_path
from jaccheck.paths.sqrt_ggn_exact import SqrtGGNExact
from jaccheck.properties._exactly import Exactly, Rounds, grid
from jaccheck.strategies import exact_networks
from tests.enclosure.cases import ACTIVATIONS, name

HALVES = (torch.float16, torch.bfloat16)


@pytest.fixture
def mean():
    register_path(SqrtGGNExact(reduction="mean"))
    yield "sqrt_ggn_exact_mean"
    unregister_path("sqrt_ggn_exact_mean")


def verdicts(network, chosen="all"):
    return check(*network.build(), paths=chosen, properties=("exact",), images=False).verdicts


@settings(max_examples=40)  # all paths, of sizes up to 257
@given(exact_networks())
def test_all_paths_that_do_not_round_give_the_exact_jacobian(network):
    for path, verdict in verdicts(network).items():
        rounds = mode(get(path)) == "forward" or exactly(get(path), network.batch, network.outputs) is None
        rounds = rounds or flushed(verdict)
        assert verdict.status in (("vacuous", "unsupported") if rounds else ("agrees", "unsupported")), verdict


def flushed(verdict):
    """A network of subnormals, on a device that may take them as 0."""
    return verdict.status == "vacuous" and "may underflow" in verdict.reason


@given(exact_networks(max_batch=8, max_width=16))
def test_the_mean_reduction_is_exact_where_its_factor_is(network):
    """And it is asked wherever `sqrt_ggn_exact` is, which rounds as it is."""
    claims = exactly(get("sqrt_ggn_exact"), network.batch, network.outputs) is not None
    assert claims == (network.batch * network.outputs in (2, 8, 32, 128, 512))
    verdict = verdicts(network, ("sqrt_ggn_exact",))["sqrt_ggn_exact"]
    claims = claims and not flushed(verdict)
    assert verdict.status in (("agrees", "unsupported") if claims else ("vacuous", "unsupported"))


class OneBitOff(SqrtGGNExact):
    """Under the mean reduction alone."""

    def jacobian(self, model, x):
        J = super().jacobian(model, x)
        wrong = self.reduction == "mean" and (len(x) > 1 or x.dtype is not torch.float64)
        return {name: j.nextafter(torch.full_like(j, torch.inf)) if wrong else j for name, j in J.items()}

    def exactly(self, N, C):
        mean = OneBitOff(reduction="mean")
        return mean if mean.exact(N, C) else None


def test_a_bit_under_the_mean_reduction_is_found():
    path = OneBitOff()
    path.name = "one_bit_off"
    register_path(path)
    try:
        settled = settings(max_examples=300, database=None, derandomize=True, phases=[Phase.generate])
        found = find(exact_networks(), lambda n: verdicts(n, (path.name,))[path.name].kind == "value", settings=settled)
        verdict = verdicts(found, (path.name,))[path.name]
    finally:
        unregister_path(path.name)
    assert verdict.property == "exact"
    assert verdict.reason.startswith("as sqrt_ggn_exact_mean: ")


@pytest.mark.parametrize(("batch", "outputs"), [(1, 2), (2, 1), (4, 2), (2, 4), (16, 2), (64, 2)])
def test_the_mean_reduction_is_held_to_zero_tolerance(mean, batch, outputs):
    hidden = Linear(3, Values(numbers=(1, -2, 3, -1, 2)))
    layers = (hidden, Activation("ReLU"), Linear(outputs, Values(numbers=(3, 1, -2, 5))))
    x = Values(numbers=(1, 2, 3, -1, -2, 5, 7))
    assert verdicts(Network(layers, batch=batch, inputs=(2,), x=x, dtype="float32"), (mean,))[mean].status == "agrees"


@pytest.mark.parametrize("path", [path for path in paths() if mode(get(path)) == "reverse"])
def test_torchs_convention_holds_at_a_kink(path):
    """Of which the enclosure knows that it lies between the slopes on both sides."""
    network = Network((Linear(2), Activation("ReLU"), Linear(2, Values(numbers=(1,)))), x=Values(numbers=(1,)))
    assert verdicts(network, (path,))[path].status == "agrees"


REASONS = {
    "Tanh is evaluated away from 0": (
        Network((Linear(1, Values(numbers=(1,))), Activation("Tanh")), x=Values(numbers=(1,))),
        "an activation is evaluated where its value or derivative is rounded",
    ),
    "weights with all their bits": (
        Network((Linear(3, Values("uniform")), Linear(1, Values("uniform"))), inputs=(3,), x=Values("uniform")),
        "a sum of products may need",
    ),
    "NaN": (Network((Linear(1),), x=Values(numbers=("nan",))), "a number isn't finite"),
    "a third": (
        Network(
            (Linear(1, Values(numbers=(1,))), Activation("LeakyReLU", (("negative_slope", 0.3),))), dtype="float32"
        ),
        "needs more than 24 bits",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_what_is_not_exact_is_said(case):
    network, words = REASONS[case]
    verdict = verdicts(network, ("autograd",))["autograd"]
    assert verdict.status == "vacuous"
    assert words in verdict.reason


@st.composite
def sums(draw):
    """Two rows of small multiples of powers of two, whose products are summed, and a dtype."""
    size = draw(st.integers(1, 6))
    whole = st.integers(-(2 ** draw(st.integers(1, 10))), 2 ** draw(st.integers(1, 10)))
    exponents = st.integers(-draw(st.integers(0, 20)), draw(st.integers(0, 20)))
    numbers = st.builds(lambda n, e: n * 2.0**e, whole, exponents)
    rows = [draw(st.lists(numbers, min_size=size, max_size=size)) for _ in range(2)]
    return *rows, draw(st.sampled_from(sorted(FORMATS))), draw(st.permutations(range(size)))


@given(sums())
def test_an_exact_sum_is_exact_in_every_order(case):
    a, w, dtype, order = case
    form = FORMATS[dtype]
    left, right = (torch.tensor(row, dtype=torch.float64) for row in (a, w))
    assume(all(torch.equal(row.to(form.dtype).double(), row) for row in (left, right)))  # as all that is multiplied is
    fl = Exactly.of(torch.ones(1, dtype=form.dtype), margin=0)
    try:
        found = fl.contraction(Ball.exact(left[None]), right[:, None])
    except Rounds:
        return
    exact = sum((Fraction(p) * Fraction(q) for p, q in zip(a, w, strict=True)), Fraction(0))
    assert Fraction(float(found.centre)) == exact
    total = torch.zeros((), dtype=form.dtype)
    for i in order:
        total = total + left[i].to(form.dtype) * right[i].to(form.dtype)
    assert Fraction(float(total)) == exact


@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=4))
def test_all_numbers_are_multiples_of_their_grid(numbers):
    found = grid(torch.tensor(numbers, dtype=torch.float64))
    unit = Fraction(2) ** found.unit
    assert all((Fraction(number) / unit).denominator == 1 for number in numbers)
    assert found.largest == max(map(abs, numbers))
    assert not any(numbers) or any((Fraction(number) / unit) % 2 for number in numbers)


@pytest.mark.parametrize("dtype", HALVES, ids=name)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=name)
def test_torch_does_not_round_where_a_rule_says_so(layer, dtype):
    """At every argument where value and derivative, and the kinks, are numbers of the dtype."""
    rule = layer_call(layer, (Wire(0),))
    if not isinstance(rule, Elementwise) or (rule.phi.exact_where is None and not rule.phi.exact):
        return
    z = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    t = z.double()
    value, slope = rule.phi.value(t), rule.phi.slope(t)
    held = z.isfinite() & (value.to(dtype).double() == value) & (slope.to(dtype).double() == slope)
    if not rule.phi.exact:
        held &= rule.phi.exact_where(t)
    kinks = torch.tensor([kink[0] for kink in rule.phi.kinks], dtype=torch.float64)
    held &= bool((kinks.to(dtype).double() == kinks).all())
    z.requires_grad_()
    found = layer(z)
    (gradient,) = torch.autograd.grad(found.sum(), z)
    assert torch.equal(found.double()[held], value[held])
    assert torch.equal(gradient.double()[held], slope[held])


def test_some_rules_say_so_of_all_arguments_and_some_of_one():
    exact = {type(layer): layer_call(layer, (Wire(0),)) for layer in (nn.ReLU(), nn.Hardtanh(), nn.Tanh(), nn.ELU())}
    t = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    where = {kind: rule.phi.exact or rule.phi.exact_where(t).tolist() for kind, rule in exact.items()}
    assert where == {
        nn.ReLU: True,
        nn.Hardtanh: [True, True, True],
        nn.Tanh: [False, True, False],
        nn.ELU: [False, True, True],
    }


def test_at_zero_celu_is_exact_with_some_parameters_alone():
    """There its derivative is (1/α) α, which torch rounds: twice with 1.83, never with a power of two."""
    where = {alpha: layer_call(nn.CELU(alpha), (Wire(0),)).phi.exact_where(torch.zeros(1)).item() for alpha in ALPHAS}
    assert where == ALPHAS
    model = nn.Sequential(nn.Linear(1, 1), nn.CELU(1.83))
    model.load_state_dict({"0.weight": torch.ones(1, 1), "0.bias": torch.zeros(1)})
    assert check(model, torch.zeros(1, 1), properties=("enclosure", "exact")).ok


ALPHAS = {1.0: True, 0.5: True, -2.0: True, 1.83: False, -1.83: False}
