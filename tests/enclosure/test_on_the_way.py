"""What happens on the way to a result is in its radius: partial sums that overflow, constants that are rounded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jaccheck
from jaccheck._capabilities import differentiates
from jaccheck.enclosure import Ball
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.probe import arithmetic
from tests.enclosure.judged import images

F32 = Arithmetic(u=2.0**-24, v=2.0**-24, largest=3.4e38, eta=2.0**-150, opmath_largest=3.4e38)
HALF, SINGLE = torch.float16, torch.float32
PATHS = ("autograd", "autograd_batched", "vmap_jacrev", "vmap_jacfwd")


FLAT = (
    nn.SiLU(),
    nn.Mish(),
    nn.Softplus(),
    nn.LogSigmoid(),
    nn.Sigmoid(),
    nn.ELU(),
    nn.SELU(),
    nn.CELU(),
    nn.Softsign(),
)


class Scaled(nn.Module):
    """A function of ``x w``, of which the weights w are given."""

    def __init__(self, w, function):
        super().__init__()
        self.w, self.function = nn.Parameter(torch.tensor(w)), function

    def forward(self, x):
        return self.function(x * self.w)


def normalized(eps):
    layer = nn.BatchNorm1d(2, eps=eps)
    layer.running_var.zero_()
    return nn.Sequential(layer, nn.Linear(2, 2)).eval()


def single(layer):
    model = nn.Sequential(layer, nn.Linear(1, 1))
    nn.init.ones_(model[1].weight)
    return model


def steep():
    """Of its cotangents a sum times s³ overflows before it is divided by 16, though J doesn't."""
    model = nn.Sequential(nn.Linear(1, 16, bias=False), nn.LayerNorm(16), nn.Linear(16, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.linspace(-0.5, 0.5, 16)[:, None])
        model[2].weight.copy_(torch.linspace(-0.5, 0.5, 16) * 2.0**125)
    return model


def rooted():
    """Whose tangents, times its values, overflow before they are multiplied by s³."""
    model = nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4, eps=1e-3) if hasattr(nn, "RMSNorm") else nn.LayerNorm(4))
    with torch.no_grad():
        model[0].weight.mul_(2.0**-50)
    return model


class Between(nn.Module):
    """A function between two layers whose weights are given, and the biases of the first."""

    def __init__(self, first, shift, function, last):
        super().__init__()
        self.first, self.last = nn.Linear(1, len(first)), nn.Linear(len(last[0]), len(last), bias=False)
        self.function = function
        with torch.no_grad():
            for p, numbers in ((self.first.weight, [[w] for w in first]), (self.first.bias, shift)):
                p.copy_(torch.tensor(numbers))
            self.last.weight.copy_(torch.tensor(last))

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def at_once(slope, function):
    """A function of 300 zeros, all of which grow by `slope` times the weight."""
    return Scaled([1.0], lambda h: function(h.expand(-1, 300) * slope - slope).unsqueeze(1))


CASES = {
    "a sum whose parts overflow": (
        Scaled([2e38, 2e38, -2e38, -2e38], lambda h: h.sum(1, keepdim=True)),
        torch.ones(2, 4),
    ),
    "a cotangent whose parts overflow": (
        Scaled([1.0], lambda h: (h * -3e38 + h * 3e38) + h * 3e38),
        torch.ones(2, 1),
    ),
    "1/t² overflows": (Scaled([1.0], lambda h: 0.01 / h).half(), torch.full((1, 1), 0.003, dtype=HALF)),
    "1/t² underflows": (Scaled([1.0], lambda h: 60000.0 / h).half(), torch.full((1, 1), 5e4, dtype=HALF)),
    "a number by values": (Scaled([1.0], lambda h: 3.7 / h), torch.linspace(0.1, 9, 999)[:, None]),
    "values by a number": (Scaled([1.0], lambda h: h / 3.7), torch.linspace(0.1, 9, 999)[:, None]),
    "ε is among the smallest numbers": (normalized(1e-6).half(), torch.randn(3, 2, dtype=HALF)),
    "a threshold that is rounded": (single(nn.Threshold(0.3, 0.299999995)), torch.full((1, 1), 0.3)),
    "from behind": (
        Scaled([1.0, 2.0], lambda h: torch.narrow(h, 1, -2, 2)),
        torch.ones(2, 2),
    ),
    "what a layer normalization divides by n overflows": (steep(), torch.tensor([[0.75], [3.0]])),
    "a tangent times a value overflows": (rooted(), torch.randn(2, 3) * 2.0**100),
    "D 2ᵗ overflows before log 2": (
        Between([1.0, 1.0], [1.0, 0.9], torch.exp2, [[1.2e38, -1.2e38]]),
        torch.ones(1, 1),
    ),
    "2ᵗ overflows before log 2": (Scaled([16.25], torch.exp2).half(), torch.ones(1, 1, dtype=HALF)),
    "t^(-3/2) overflows before it is halved": (
        Scaled([4.64e-4], lambda h: h**-0.5).half(),
        torch.ones(1, 1, dtype=HALF),
    ),
    "t^(-3/2) overflows in wider numbers": (Scaled([1.0], torch.rsqrt), torch.full((1, 1), 1.84e-26)),
    "the sum of a mean's tangents overflows": (at_once(1e37, lambda h: h.mean(1)), torch.ones(1, 1)),
    **{
        f"the sum of a {name}'s tangents overflows": (at_once(250.0, function).half(), torch.ones(1, 1, dtype=HALF))
        for name, function in {
            "softmax": lambda h: torch.softmax(h, 1)[:, 0],
            "log softmax": lambda h: torch.log_softmax(h, 1)[:, 0],
            "logsumexp": lambda h: torch.logsumexp(h, 1),
        }.items()
    },
    "a sum over nothing": (Scaled([1.0, 2.0], lambda h: h + h[:, 2:].sum(1, keepdim=True)), torch.ones(2, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_nobody_is_accused(case):
    report = jaccheck.check(*CASES[case], paths=PATHS)
    assert report.ok, report


@pytest.mark.parametrize("case", [case for case in CASES if "overflow" not in case])
def test_something_is_known(case):
    report = jaccheck.check(*CASES[case], paths=PATHS)
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}


@pytest.mark.skipif(
    not differentiates(nn.LayerNorm(1, elementwise_affine=False), HALF, "cpu"), reason="torch has no such kernel"
)
def test_a_layer_normalization_has_its_squares_in_wider_numbers():
    model = nn.Sequential(nn.Linear(1, 64), nn.LayerNorm(64)).half()
    verdicts = jaccheck.check(model, torch.full((1, 1), 1000.0, dtype=HALF), paths=PATHS).verdicts
    assert {(verdict.status, verdict.vacuous) for verdict in verdicts.values()} == {("agrees", 0)}


def test_of_a_sum_that_may_overflow_on_the_way_nothing_is_known():
    parts = [Ball.exact(torch.tensor([sign * 3e38, 1.0])) for sign in (-1, 1, 1)]
    assert F32.total(parts).radius.isfinite().tolist() == [False, True]


def test_a_product_is_inclusive_where_the_terms_of_a_sum_are_bounded_apart():
    """As in forward mode: what it was summed from doesn't count its radius."""
    one, half = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)
    s, t = Ball(one, half, reach=one), Ball(one, half)
    for product in (F32.product(s, t), F32.product(t, s), F32.product(s, s)):
        assert not product.excludes(torch.tensor([1.5 * 1.5])).any()
        assert not product.excludes(torch.tensor([0.5 * 0.5])).any()


@pytest.mark.parametrize("dtype", [SINGLE, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layer", FLAT, ids=str)
def test_a_derivative_that_is_0_too_early_is_seen(layer, dtype):
    """As a kernel would give that stops where φ' is small."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), layer, nn.Linear(1, 1)).to(dtype)
    nn.init.ones_(model[0].weight)
    side = 1 if isinstance(layer, nn.LogSigmoid) else -1
    slope = jaccheck.enclosure(model, torch.tensor([[side * 10.0]], dtype=dtype))["0.weight"]
    assert slope.excludes(torch.zeros(1, 1, 1, 1)).all()


@pytest.mark.parametrize("alpha", [-(2.0 ** (-k / 16)) for k in range(1, 160, 8)])
def test_exp_may_overflow_before_its_product_with_alpha_does(alpha):
    """Where exp(t/α) is next to the largest number, which torch makes infinite now and then."""
    layer = nn.CELU(alpha)
    t = torch.tensor(88.7228 * alpha) * (1 + torch.arange(-400, 400) * 2.0**-23)
    value, _ = images(layer, arithmetic(SINGLE, t.device), Ball.exact(t.double()))
    assert not value.excludes(layer(t)).any()
