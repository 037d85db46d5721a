"""Models that aren't chains of layers against Arb: each says in `on_duals` what it computes, for one sample."""

from __future__ import annotations

from functools import reduce

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._activations import ACTIVATIONS, Kind
from jaccheck._capabilities import differentiates
from tests.arb import Dual, Judge, Nested, exact, flattened, mapped
from tests.enclosure.cases import DTYPES, name, numbers
from tests.enclosure.judged import missed


def plus(s: Nested, t: Nested) -> Nested:
    return mapped(Dual.__add__, s, t)


def times(s: Nested, t: Nested) -> Nested:
    return mapped(Dual.__mul__, s, t)


def quotient(s: Dual, t: Dual) -> Dual:
    return s * t.scaled(1 / t.value, -1 / t.value**2)


def summed(parts: list[Dual]) -> Dual:
    return reduce(Dual.__add__, parts)


def scaled(factor: float, s: Nested) -> Nested:
    return mapped(lambda t: t.scaled(exact(factor) * t.value, exact(factor)), s)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3)), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.inner(x))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        return judge(self.head, plus(x, judge(self.inner, x)))


class Reused(nn.Module):
    """One layer three times: its Jacobian is a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.phi = nn.Linear(3, 3), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.phi(self.layer(self.phi(self.layer(x)))))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        for _ in range(2):
            x = judge(self.phi, judge(self.layer, x))
        return judge(self.layer, x)


class Tied(nn.Module):
    """One weight in two layers, with a bias each, of which one is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.first.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.silu(self.first(x)))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        return judge(self.second, judge(nn.SiLU(), judge(self.first, x)))


class Branches(nn.Module):
    """Functions and methods: scaling, difference, concatenation, slices."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(3, 2), nn.Linear(3, 2, bias=False), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = F.relu(self.left(x)), torch.tanh(self.right(-x))
        return self.head(torch.cat([a - 0.1 * b, x[:, 1:] / 4], dim=1))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        a = judge(nn.ReLU(), judge(self.left, x))
        b = judge(nn.Tanh(), judge(self.right, scaled(-1, x)))
        return judge(self.head, plus(a, scaled(-0.1, b)) + scaled(0.25, x[1:]))


class Gated(nn.Module):
    """A product of two values, and parameters that are no layer's: a scale and a shift."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate, self.head = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(2, 2)
        self.scale, self.shift = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.value(x) * torch.sigmoid(self.gate(x)) * self.scale + self.shift)

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        product = times(judge(self.value, x), judge(nn.Sigmoid(), judge(self.gate, x)))
        return judge(self.head, plus(times(product, judge.weights[id(self.scale)]), judge.weights[id(self.shift)]))


class Tokens(nn.Module):
    """Linear layers along the last of several axes, and what moves the axes about."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.positions, self.head = nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:  # [N, 6]
        a = F.softplus(self.features(x.reshape(x.shape[0], 2, 3)))
        return self.head(self.positions(a.transpose(1, 2)).flatten(1))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        a = judge(nn.Softplus(), judge(self.features, [x[:3], x[3:]]))
        return judge(self.head, flattened(judge(self.positions, [list(row) for row in zip(*a, strict=True)])))


class Plain(nn.Module):
    """Matrix products with parameters that are no layer's, normalized inputs, quotients, means and sums."""

    def __init__(self) -> None:
        super().__init__()
        self.W, self.scale = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(2))
        self.register_buffer("mean", torch.tensor([0.5, -1.0, 0.25]))
        self.register_buffer("deviation", torch.tensor([0.5, 3.0, 0.7]))

    def forward(self, x: Tensor) -> Tensor:
        a = ((x - self.mean) / self.deviation) @ self.W  # [N, 4]
        b = a.unflatten(1, (2, 2)).unsqueeze(1).contiguous().squeeze(1)
        gates = torch.sigmoid(b).mean(dim=2)
        return torch.cat([b.sum(-1) / self.scale, gates / torch.sigmoid(a[:, :2])], dim=1)

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        mean, deviation = ([Dual(exact(t)) for t in row.tolist()] for row in (self.mean, self.deviation))
        normalized = mapped(quotient, plus(x, scaled(-1, mean)), deviation)
        columns = [list(column) for column in zip(*judge.weights[id(self.W)], strict=True)]
        a = [summed(times(normalized, column)) for column in columns]
        sigmoid = judge(nn.Sigmoid(), a)
        gates = [scaled(0.5, summed(sigmoid[i : i + 2])) for i in (0, 2)]
        sums = [summed(a[i : i + 2]) for i in (0, 2)]
        return mapped(quotient, sums, judge.weights[id(self.scale)]) + mapped(quotient, gates, sigmoid[:2])


class Turned(nn.Module):
    """Products with parameters that are transposed, and values stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.W, self.V = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3, 2))
        self.U, self.b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack([torch.tanh(x @ self.W.T + self.b), F.linear(x, self.V.t())], dim=-1)  # [N, 2, 2]
        return torch.addmm(self.b, both.sum(1), self.U.transpose(0, 1))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        left = judge(nn.Tanh(), judge.linear(x, self.W, self.b))
        columns = [list(column) for column in zip(*judge.weights[id(self.V)], strict=True)]
        right = [summed(times(x, column)) for column in columns]
        return judge.linear([summed(left), summed(right)], self.U, self.b)


class Copies(nn.Module):
    """Elements by constant indices, turned about and several times, bounds, and a transposed weight with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head, self.V = nn.Linear(3, 3), nn.Linear(7, 2), nn.Parameter(torch.ones(3, 2))
        self.b = nn.Parameter(torch.ones(2))
        self.register_buffer("places", torch.tensor([2, 0, 2]))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.layer(x))
        a, b, c = y.flip(1).unbind(1)
        several = y[:, [0, 0, 1]] * y.index_select(1, self.places) + y.roll(1, 1)
        many = torch.stack([a, b * c], 1).repeat(1, 2)
        held = torch.clamp_max(y.clamp_min(-0.5), 0.25)[:, :1].expand(-1, 2)
        return self.head(torch.cat([several, many], 1)) + F.linear(y, self.V.t(), self.b) * held

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        y = judge(nn.Tanh(), judge(self.layer, x))
        several = plus(times([y[0], y[0], y[1]], [y[2], y[0], y[2]]), [y[2], y[0], y[1]])
        many = 2 * [y[2], y[1] * y[0]]
        held = 2 * [judge(nn.Hardtanh(-0.5, 0.25), y[:1])[0]]
        columns = [list(column) for column in zip(*judge.weights[id(self.V)], strict=True)]
        turned = plus([summed(times(y, column)) for column in columns], judge.weights[id(self.b)])
        return plus(judge(self.head, several + many), times(turned, held))


class Classifier(nn.Module):
    """PReLU with a parameter for each channel, normalization by fixed statistics, softmax and its logarithm."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.phi, self.norm = nn.Linear(3, 3), nn.PReLU(3), nn.BatchNorm1d(3, eps=0.01).eval()
        self.norm.running_mean = torch.tensor([0.5, -1.0, 0.25])
        self.norm.running_var = torch.tensor([0.5, 3.0, 0.7])

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.phi(self.layer(x)))
        return torch.cat([F.softmax(y, dim=1), y.log_softmax(-1), y.logsumexp(1, keepdim=True)], dim=1)

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        z = judge(self.layer, x)
        slopes = judge.weights[id(self.phi.weight)]
        y = [t if t.value > 0 else w * t for w, t in zip(slopes, z, strict=True)]
        mean, variance = ([exact(t) for t in row.tolist()] for row in (self.norm.running_mean, self.norm.running_var))
        y = [
            t.scaled((t.value - m) / (v + exact(self.norm.eps)).sqrt(), 1 / (v + exact(self.norm.eps)).sqrt())
            for t, m, v in zip(y, mean, variance, strict=True)
        ]
        y = plus(times(y, judge.weights[id(self.norm.weight)]), judge.weights[id(self.norm.bias)])
        powers = [t.scaled(t.value.exp(), t.value.exp()) for t in y]
        p = [quotient(t, summed(powers)) for t in powers]
        return p + [t.scaled(t.value.log(), 1 / t.value) for t in (*p, summed(powers))]


class Standardized(nn.Module):
    """Layer normalization, with parameters and without."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.head = nn.Linear(3, 4), nn.LayerNorm(4, eps=0.01), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.norm(self.layer(x))) + F.layer_norm(self.layer(x), (4,)))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        z = judge(self.layer, x)
        own = plus(times(standard(z, 0.01), judge.weights[id(self.norm.weight)]), judge.weights[id(self.norm.bias)])
        return judge(self.head, plus(judge(nn.Tanh(), own), standard(z, 1e-5)))


def standard(z: list[Dual], eps: float) -> list[Dual]:
    """(z - mean) / √(variance + ε)"""
    mean = summed(z).scaled(summed(z).value / len(z), 1 / exact(len(z)))
    away = [t + mean.scaled(-mean.value, exact(-1)) for t in z]
    variance = summed(times(away, away))
    variance = variance.scaled(variance.value / len(z) + exact(eps), 1 / exact(len(z)))
    return [quotient(t, root(variance)) for t in away]


class Elementary(nn.Module):
    """Exponentials, logarithms, sines, powers, roots and their reciprocals."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 2), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        even = 1 + y**2
        parts = [
            torch.exp(y),
            even.log(),
            torch.sin(y),
            y.cos(),
            torch.pow(y, 3),
            even.sqrt(),
            (even + y.square()) ** 0.5,
            even.rsqrt(),
        ]
        return self.head(torch.cat(parts, dim=1))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        y = judge(self.layer, x)
        one = [Dual(exact(1)), Dual(exact(1))]
        even = plus(one, times(y, y))
        rows = [
            mapped(lambda t: t.scaled(t.value.exp(), t.value.exp()), y),
            mapped(lambda t: t.scaled(t.value.log(), 1 / t.value), even),
            mapped(lambda t: t.scaled(t.value.sin(), t.value.cos()), y),
            mapped(lambda t: t.scaled(t.value.cos(), -t.value.sin()), y),
            times(y, times(y, y)),
            mapped(root, even),
            mapped(root, plus(even, times(y, y))),
            [quotient(one[0], root(t)) for t in even],
        ]
        return judge(self.head, flattened(rows))


def root(t: Dual) -> Dual:
    return t.scaled(t.value.sqrt(), 1 / (2 * t.value.sqrt()))


class Recurrent(nn.Module):
    """Constants made of shapes: a first state, to which a layer is applied, a column of ones, and a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.hidden, self.head = nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 2, dtype=x.dtype)
        for _ in range(2):
            h = torch.tanh(self.inner(x) + self.hidden(h))
        return self.head(torch.cat([h, torch.ones_like(h[:, :1])], dim=1)) * h.new_full((len(h), 2), 0.25)

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        h = 2 * [Dual(exact(0))]
        for _ in range(2):
            h = judge(nn.Tanh(), plus(judge(self.inner, x), judge(self.hidden, h)))
        return scaled(0.25, judge(self.head, [*h, Dual(exact(1))]))


class Elsewhere(nn.Module):
    """Parameters that are reshaped, expanded, repeated, indexed and transposed before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.row, self.W = (nn.Parameter(torch.ones(*shape)) for shape in ((6,), (2,), (2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(x @ self.flat.view(3, 2)) * self.row[None] + self.row.expand(x.shape[0], -1)
        z = torch.cat([y, self.row.unsqueeze(0).expand_as(y)], 1) * self.row.repeat(2)
        return z[:, 1:3] + F.linear(x, self.W[[0, 0]]) - (x.unsqueeze(2) * self.W.T).sum(1)

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        flat, row, W = (judge.weights[id(p)] for p in (self.flat, self.row, self.W))
        products = [summed(times(x, flat[j::2])) for j in (0, 1)]
        y = plus(times(judge(nn.Tanh(), products), row), row)
        first, other = [summed(times(x, W[0]))], [summed(times(x, W[1]))]
        z = times([*y, *row], [*row, *row])
        return plus(plus(z[1:3], 2 * first), scaled(-1, first + other))


class Normalized(nn.Module):
    """Norms, variances, and what is divided by them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head, self.gamma = nn.Linear(3, 4), nn.Linear(11, 2), nn.Parameter(torch.ones(4))
        self.groups = nn.GroupNorm(1, 2, eps=0.01)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        parts = [F.normalize(y), y.norm(dim=1, keepdim=True), y.var(1, keepdim=True)]
        parts += [torch.std(y, dim=1, correction=0, keepdim=True), rooted(y, self.gamma)]
        of_two = self.groups(y.reshape(-1, 2, 2)).sum(2)
        return self.head(torch.cat(parts, dim=1)) * F.softmin(y[:, :2], dim=1) + of_two

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        y = judge(self.layer, x)
        squares = summed(times(y, y))
        away = plus(y, 4 * [summed(y).scaled(-summed(y).value / 4, -1 / exact(4))])
        distances = summed(times(away, away))
        variances = [distances.scaled(distances.value / n, 1 / exact(n)) for n in (3, 4)]
        mean = squares.scaled(squares.value / 4 + exact(0.01), 1 / exact(4))
        parts = [quotient(t, root(squares)) for t in y] + [root(squares), variances[0], root(variances[1])]
        parts += times([quotient(t, root(mean)) for t in y], judge.weights[id(self.gamma)])
        powers = [t.scaled((-t.value).exp(), -(-t.value).exp()) for t in y[:2]]
        gamma, beta = (judge.weights[id(p)] for p in (self.groups.weight, self.groups.bias))
        own = plus(times(standard(y, 0.01), [gamma[i // 2] for i in range(4)]), [beta[i // 2] for i in range(4)])
        of_two = [own[0] + own[1], own[2] + own[3]]
        return plus(times(judge(self.head, parts), [quotient(t, summed(powers)) for t in powers]), of_two)


def rooted(y: Tensor, gamma: Tensor) -> Tensor:
    """y / √(mean y² + ε) γ, by torch's own function where a release of torch has it."""
    if hasattr(F, "rms_norm"):
        return F.rms_norm(y, (4,), gamma, 0.01)
    return y * torch.rsqrt(y.square().mean(1, keepdim=True) + 0.01) * gamma


def kernels(t: Tensor) -> Tensor:
    """What `Normalized` needs."""
    return F.group_norm((F.normalize(t) + t.var(1, unbiased=False)).repeat(1, 2), 1)


class Others(nn.Module):
    """Functions that are others one after the other, and sums of all elements up to each."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 2), nn.Linear(9, 2)
        self.v, self.W, self.b = (nn.Parameter(torch.ones(*shape)) for shape in ((2,), (2, 2), (2,)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        z = torch.addcmul(y.add(x[:, :2], alpha=-0.75), y, x[:, 1:]).cumsum(1)
        both = torch.stack([torch.exp2(y), torch.log2(1 + y**2)], 1).movedim(1, -1).mT.flatten(1)
        parts = [F.pad(both, (1, 0), value=0.5), (y @ self.v).unsqueeze(1).tile(1, 2) * (1 + y**2) ** -0.5]
        turned = torch.addmm(self.b, z, self.W) + torch.einsum("ni,oi->no", y, self.W)
        return self.head(torch.cat([*parts, z], 1)) + turned * F.glu(torch.cat([y, z], 1))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        y = judge(self.layer, x)
        z = plus(plus(y, scaled(-0.75, x[:2])), times(y, x[1:]))
        z = [z[0], z[0] + z[1]]
        one = [Dual(exact(1)), Dual(exact(1))]
        even = plus(one, times(y, y))
        ln2 = exact(2).log()
        both = [t.scaled((t.value * ln2).exp(), ln2 * (t.value * ln2).exp()) for t in y]
        both += [t.scaled(t.value.log() / ln2, 1 / (ln2 * t.value)) for t in even]
        product = summed(times(y, judge.weights[id(self.v)]))
        parts = [Dual(exact(0.5)), *both, *(quotient(product, root(t)) for t in even), *z]
        W, b = judge.weights[id(self.W)], judge.weights[id(self.b)]
        columns = [summed(times(z, list(column))) for column in zip(*W, strict=True)]
        turned = plus(plus(columns, b), [summed(times(y, row)) for row in W])
        return plus(judge(self.head, parts), times(turned, times(y, judge(nn.Sigmoid(), z))))


class Functional(nn.Module):
    """An activation by its function, with parameters other than the defaults."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.inner, self.head, self.function = nn.Linear(3, 2), nn.Linear(2, 2), kind.function
        self.parameters_of_it = {key: parameter.values[-1] for key, parameter in kind.parameters.items()}
        self.as_layer = [kind.module(**self.parameters_of_it)]  # no submodule

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.inner(x), **self.parameters_of_it))

    def on_duals(self, judge: Judge, x: Nested) -> Nested:
        return judge(self.head, judge(self.as_layer[0], judge(self.inner, x)))


MODELS = (Residual, Reused, Tied, Branches, Gated, Tokens, Plain, Turned, Copies, Classifier, Standardized, Elementary)
MODELS += (Recurrent, Elsewhere, Normalized, Others)


@pytest.mark.parametrize("scale", [1.0, 30.0, 2.0**-12], ids=lambda scale: f"x{scale:g}")
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_the_true_jacobian_lies_in_the_enclosure(make, dtype, scale):
    if make is Standardized and not differentiates(nn.LayerNorm(1, elementwise_affine=False), dtype, "cpu"):
        pytest.skip("no layer normalization in this dtype")
    if make is Normalized and not differentiates(kernels, dtype, "cpu"):
        pytest.skip("no norms, variances or group normalization in this dtype")
    for seed in (0, 1 + DTYPES.index(dtype)):
        draw = numbers(seed)
        model = make().double()
        for p in model.parameters():
            p.data = draw(*p.shape) * scale**0.5
        x = draw(2, 6 if make is Tokens else 3) * scale
        assert not missed(model.to(dtype), x.to(dtype)), f"seed {seed}"


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation_by_its_function(kind, dtype):
    draw = numbers(0)
    model = Functional(kind).double()
    for p in model.parameters():
        p.data = draw(*p.shape)
    assert not missed(model.to(dtype), draw(2, 3).to(dtype))


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_what_a_model_says_on_duals_is_what_it_computes(make):
    """At small integers and in float64 nothing much rounds: torch is within 2^-40 of what the judge has."""
    model = make().double()
    draw = numbers(1)
    for p in model.parameters():
        p.data = draw(*p.shape).round()
        p.data[p == 0] = 1.0  # one of them divides
    x = draw(2, 6 if make is Tokens else 3).round()
    judge = Judge(model)
    for row, f in zip(x.tolist(), model(x).tolist(), strict=True):
        true = judge(model, [Dual(exact(t)) for t in row])
        assert [float(t.value.mid()) for t in true] == pytest.approx(f, rel=2.0**-40, abs=2.0**-40)
