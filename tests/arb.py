"""An independent judge: values and Jacobians in Arb, at 200 bits or more, where nothing rounds but Arb itself.

It shares nothing with `jaccheck.enclosure`. Functions are written once, as values; their derivatives come from Arb's
truncated power series, ``φ(z + ε) = φ(z) + φ'(z) ε``. A network is evaluated forward, on dual numbers with one tangent
per parameter. Whatever a working precision can't settle (which side of a kink, inside or outside) is asked again at
twice the precision (Ziv's strategy), until it is settled or `Undecided` says that it can't be.

At a kink, and there alone, torch's convention decides: the comparison written beside each piece is torch's own.
Source: F. Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Any

from flint import arb, arb_series, ctx
from torch import Tensor, nn

BITS = 200  # the first working precision
MOST_BITS = 12800  # more than the exact result of a small network of float64 numbers has


class Undecided(ArithmeticError):
    """The working precision can't tell on which side of a kink, or of a bound, a number lies."""


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def settled(question: Callable[[], Any]) -> Any:
    """The answer to `question`, asked at 200, 400, 800, … bits until it doesn't raise `Undecided`."""
    bits = BITS
    while True:
        with working_precision(bits):
            try:
                return question()
            except Undecided:
                bits *= 2
                if bits > MOST_BITS:
                    raise


def below(x: arb, y: arb | float) -> bool:
    """Whether x < y, for certain."""
    if x < y:
        return True
    if x >= y:
        return False
    raise Undecided(f"{x} < {y}")


def at_most(x: arb, y: arb | float) -> bool:
    return not below(arb(y), x)


def exact(number: float | Fraction) -> arb:
    """The real number that a float is, whatever the working precision."""
    if isinstance(number, float) and isfinite(number):
        return arb(number)  # which doesn't round
    ratio = Fraction(number)
    if ratio.denominator & (ratio.denominator - 1):
        raise ValueError(f"{number} isn't dyadic")
    with working_precision(4096):  # the largest float64 is 2^1024, the smallest 2^-1074
        return arb(ratio.numerator) * arb(2) ** -(ratio.denominator.bit_length() - 1)


# --- activations: each gives φ as a power series at z, for the z at which it is asked -------------------------------

Series = arb_series


def _leans_below_0(t: Series) -> bool:
    """For a choice between two formulas that are both right, of which one is better on one side of 0."""
    return bool(t[0].mid() < 0)


def _sigmoid(t: Series) -> Series:
    if _leans_below_0(t):
        e = t.exp()
        return e / (1 + e)
    return 1 / (1 + (-t).exp())


def _tanh(t: Series) -> Series:
    if _leans_below_0(t):
        return -_tanh(-t)
    e = (-2 * t).exp()
    return (1 - e) / (1 + e)


def _log1p(t: Series) -> Series:  # Arb has it for numbers alone
    return arb_series([t[0].log1p(), t[1] / (1 + t[0])], 2)


def _softplus(t: Series) -> Series:  # log(1 + e^t)
    return _log1p(t.exp()) if _leans_below_0(t) else t + _log1p((-t).exp())


def _clamped(t: Series, low: arb | float, high: arb | float) -> Series:
    """`t` strictly between the two; at both ends the derivative is 0, as in torch."""
    if at_most(t[0], low):
        return constant(low)
    return t if below(t[0], high) else constant(high)


def constant(value: arb | float) -> Series:
    return arb_series([arb(value)], 2)


def identity(t: Series) -> Series:
    return t


def relu(t: Series) -> Series:
    return constant(0) if at_most(t[0], 0) else t


def leaky_relu(t: Series, slope: arb) -> Series:
    return slope * t if at_most(t[0], 0) else t


def elu(t: Series, alpha: arb, scale: arb, input_scale: arb) -> Series:
    return scale * alpha * ((input_scale * t).exp() - 1) if at_most(t[0], 0) else scale * t


def gelu(t: Series) -> Series:  # z Φ(z)
    return t / 2 * (-t / arb(2).sqrt()).erfc()


def gelu_tanh(t: Series) -> Series:  # z (1 + tanh y) / 2 = z σ(2y)
    return t * _sigmoid(2 * (2 / arb.pi()).sqrt() * (t + exact(0.044715) * t * t * t))


def silu(t: Series) -> Series:
    return t * _sigmoid(t)


def softplus(t: Series, beta: arb, threshold: arb) -> Series:
    return t if below(threshold, beta * t[0]) else _softplus(beta * t) / beta


def log_sigmoid(t: Series) -> Series:
    return -_softplus(-t)


def softsign(t: Series) -> Series:
    return t / (1 - t) if below(t[0], 0) else t / (1 + t)


def hardswish(t: Series) -> Series:
    if at_most(t[0], -3):
        return constant(0)
    return t * (t + 3) / 6 if below(t[0], 3) else t


def hardsigmoid(t: Series) -> Series:
    return _clamped(t + 3, 0, 6) / 6


def mish(t: Series) -> Series:  # z tanh(log(1 + e^z)), with (1 + e^z)² = 1 + 2e^z + e^2z
    if _leans_below_0(t):
        e = t.exp()
        return t * (e * e + 2 * e) / (e * e + 2 * e + 2)
    e = (-t).exp()
    return t * (1 + 2 * e) / (1 + 2 * e + 2 * e * e)


def softshrink(t: Series, lambd: arb) -> Series:
    if below(lambd, t[0]):
        return t - lambd
    return t + lambd if below(t[0], -lambd) else constant(0)


def hardshrink(t: Series, lambd: arb) -> Series:
    return t if below(lambd, t[0]) or below(t[0], -lambd) else constant(0)


def tanhshrink(t: Series) -> Series:
    return t - _tanh(t)


SELU_ALPHA = 1.6732632423543772848170429916717  # the two doubles that torch has
SELU_SCALE = 1.0507009873554804934193349852946


def series(layer: nn.Module, t: Series) -> Series:
    """The activation `layer` at `t`, its parameters the exact values of its Python floats."""
    match layer:
        case nn.ReLU6() | nn.Hardtanh():
            return _clamped(t, exact(layer.min_val), exact(layer.max_val))
        case nn.LeakyReLU():
            return leaky_relu(t, exact(layer.negative_slope))
        case nn.ELU():
            return elu(t, exact(layer.alpha), arb(1), arb(1))
        case nn.CELU():
            return elu(t, exact(layer.alpha), arb(1), 1 / exact(layer.alpha))
        case nn.SELU():
            return elu(t, exact(SELU_ALPHA), exact(SELU_SCALE), arb(1))
        case nn.GELU():
            return gelu_tanh(t) if layer.approximate == "tanh" else gelu(t)
        case nn.Softplus():
            return softplus(t, exact(layer.beta), exact(layer.threshold))
        case nn.Softshrink():
            return softshrink(t, exact(layer.lambd))
        case nn.Hardshrink():
            return hardshrink(t, exact(layer.lambd))
        case nn.Threshold():
            return constant(exact(layer.value)) if at_most(t[0], exact(layer.threshold)) else t
    return PLAIN[type(layer)](t)


PLAIN: dict[type[nn.Module], Callable[[Series], Series]] = {
    nn.Identity: identity,
    nn.ReLU: relu,
    nn.Sigmoid: lambda t: _sigmoid(t),
    nn.Tanh: lambda t: _tanh(t),
    nn.LogSigmoid: log_sigmoid,
    nn.SiLU: silu,
    nn.Softsign: softsign,
    nn.Hardswish: hardswish,
    nn.Hardsigmoid: hardsigmoid,
    nn.Mish: mish,
    nn.Tanhshrink: tanhshrink,
}


def at(layer: nn.Module, z: float | Fraction) -> tuple[arb, arb]:
    """φ(z) and φ'(z) for a dyadic z, at the working precision."""
    t = series(layer, arb_series([exact(z), 1], 2))
    return t[0], t[1]


# --- networks: forward, on dual numbers ------------------------------------------------------------------------------


class Dual:
    """A number and its derivative: by how much it moves per unit of each trainable parameter, numbered through."""

    __slots__ = ("tangent", "value")

    def __init__(self, value: arb, tangent: dict[int, arb] | None = None) -> None:
        self.value = value
        self.tangent = {} if tangent is None else tangent  # what isn't there is 0

    def __add__(self, other: Dual) -> Dual:
        tangent = dict(self.tangent)
        for number, d in other.tangent.items():
            tangent[number] = tangent[number] + d if number in tangent else d
        return Dual(self.value + other.value, tangent)

    def __mul__(self, other: Dual) -> Dual:
        return self.scaled(self.value * other.value, other.value) + other.scaled(arb(0), self.value)

    def scaled(self, value: arb, slope: arb) -> Dual:
        """`value`, which moves `slope` times as much."""
        return Dual(value, {number: slope * d for number, d in self.tangent.items()})

    def through(self, layer: nn.Module) -> Dual:
        """An activation of it."""
        t = series(layer, arb_series([self.value, 1], 2))
        return self.scaled(t[0], t[1])


Nested = Any  # one sample: a Dual, or a list of Nested, as deep as the tensor has axes


def mapped(function: Callable[..., Dual], *nested: Nested) -> Nested:
    if isinstance(nested[0], Dual):
        return function(*nested)
    return [mapped(function, *parts) for parts in zip(*nested, strict=True)]


def flattened(nested: Nested) -> list[Dual]:
    return [nested] if isinstance(nested, Dual) else [number for part in nested for number in flattened(part)]


class Judge:
    """One sample's way through a model. A module of the tests' own says in `on_duals(judge, a)` what it computes."""

    def __init__(self, model: nn.Module) -> None:
        self.offsets: dict[str, int] = {}  # of each trainable parameter, tied ones once
        self.weights: dict[int, Nested] = {}
        count = 0
        for name, p in model.named_parameters():
            tangents: Iterator[dict[int, arb]] = iter(())
            if p.requires_grad:
                self.offsets[name] = count
                tangents = iter([{count + i: arb(1)} for i in range(p.numel())])
                count += p.numel()
            self.weights[id(p)] = _nested(p, tangents)

    def __call__(self, module: nn.Module, a: Nested) -> Nested:
        match module:
            case nn.Sequential():
                for child in module:
                    a = self(child, a)
                return a
            case nn.Linear():
                return self.linear(a, module.weight, module.bias)
            case nn.Flatten(start_dim=1, end_dim=-1):
                return flattened(a)
        if hasattr(module, "on_duals"):
            return module.on_duals(self, a)
        return mapped(lambda t: t.through(module), a)

    def linear(self, a: Nested, weight: Tensor, bias: Tensor | None = None) -> Nested:
        """Along the last axis."""
        if not isinstance(a[0], Dual):
            return [self.linear(part, weight, bias) for part in a]
        z = []
        for o, row in enumerate(self.weights[id(weight)]):
            total = Dual(arb(0)) if bias is None else self.weights[id(bias)][o]
            for w, t in zip(row, a, strict=True):
                total = total + w * t
            z.append(total)
        return z


def _nested(t: Tensor, tangents: Iterator[dict[int, arb]]) -> Nested:
    if t.dim() == 0:
        return Dual(exact(t.item()), next(tangents, None))
    return [_nested(part, tangents) for part in t]


def jacobian(model: nn.Module, x: Tensor) -> dict[str, list[arb]]:
    """The batched Jacobian at the working precision, for each trainable parameter in the order of ``[N, C, *p.shape]``.

    The model's parameters and `x` stand for the exact real numbers that they hold.
    """
    judge = Judge(model)
    outputs = [f for sample in x for f in judge(model, _nested(sample, iter(())))]  # [N * C]
    zero = arb(0)
    return {
        name: [f.tangent.get(judge.offsets[name] + i, zero) for f in outputs for i in range(p.numel())]
        for name, p in model.named_parameters()
        if name in judge.offsets
    }


def output(model: nn.Module, x: Tensor) -> list[arb]:
    """f(x) at the working precision, in the order of ``[N, C]``."""
    judge = Judge(model)
    return [f.value for sample in x for f in judge(model, _nested(sample, iter(())))]


# --- containment, decided exactly ------------------------------------------------------------------------------------


def contains(centre: float, radius: float, true: arb) -> bool:
    """Whether ``|true - centre| <= radius``, exactly; a radius of inf or nan claims nothing."""
    if not isfinite(radius):
        return True
    if not isfinite(centre):
        return False
    distance = abs(true - exact(centre))
    return at_most(distance, exact(radius))


@dataclass(frozen=True)
class Miss:
    """An entry of a Jacobian that its ball doesn't contain."""

    name: str
    entry: int  # in the order of [N, C, *p.shape]
    true: str
    centre: float
    radius: float


def misses(balls: dict[str, tuple[Tensor, Tensor]], truth: Callable[[], dict[str, list[arb]]]) -> list[Miss]:
    """The entries of `truth` that lie outside their balls (centre, radius); raises `Undecided` rather than guess."""

    def outside() -> list[Miss]:
        found = []
        for name, true in truth().items():
            centre, radius = balls[name]
            for entry, (t, c, r) in enumerate(zip(true, flat(centre), flat(radius), strict=True)):
                if not contains(c, r, t):
                    found.append(Miss(name, entry, t.str(20), c, r))
        return found

    return settled(outside)


def flat(t: Tensor) -> Sequence[float]:
    return t.flatten().tolist()
