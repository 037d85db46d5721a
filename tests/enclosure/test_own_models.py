"""Models as people write them: no path is accused that is right, and of each something is known."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from jaccheck import Unsupported, check, enclosure
from jaccheck._capabilities import differentiates

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
PATHS = ("autograd", "autograd_batched", "vmap_jacrev", "vmap_jacfwd")


class Written(nn.Module):
    """A layer of d units and a function of it and of x."""

    def __init__(self, d, function):
        super().__init__()
        self.layer, self.scale = nn.Linear(d, d), nn.Parameter(torch.randn(d))
        self.register_buffer("shift", torch.randn(d))
        self.register_buffer("places", torch.tensor([d - 1, 0]))
        self.order = torch.tensor([2, 0, 1])
        self.tenth = torch.tensor(0.1, dtype=torch.float64)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def gated(m, x):
    return torch.sigmoid(m.layer(x)) * torch.tanh(x) * m.scale + m.shift


def in_halves(m, x):
    one, other = torch.cat([m.layer(x), x], 1).chunk(2, dim=-1)
    return F.silu(one) * other


def in_parts(m, x):
    parts = torch.split(torch.cat([x, m.layer(x), x], dim=1), x.shape[1], 1)
    return parts[2] - parts[1] + 2 * parts[0]


def three_times(m, x):
    for _ in range(3):
        x = F.elu(m.layer(x))
    return x


def without_its_mean(m, x):
    y = m.layer(x)
    return y - y.mean(1, keepdim=True)


def softsign(m, x):
    y = m.layer(x)
    return y / (1 + y.abs())


def clamped(m, x):
    return m.layer(x).clamp(-1, 1) + torch.clamp(x, min=0.25) + x.clip(max=0.5)


def narrowed(m, x):
    y = m.layer(torch.cat([x, x], 1).narrow(1, 0, x.shape[1]))
    return torch.cat([y.narrow(-1, 0, 1), y], 1)[:, 1:]


def bells(m, x):
    return torch.exp(-m.layer(x).square()) + torch.log(1 + (torch.tanh(x) * m.scale) ** 2)


def waves(m, x):
    y = m.layer(x)
    return torch.sin(y) * x.cos() + (1 + y.pow(2)).sqrt()


def turned(m, x):
    W = m.layer.weight
    return torch.stack([x @ W.T, torch.addmm(m.scale, x @ W, W.t())], 1).mean(1)


FUNCTIONS = (gated, in_halves, in_parts, three_times, without_its_mean, softsign, clamped, narrowed, bells, waves)


def attending(m, x):
    return x * torch.softmax(m.layer(x), -1) + F.log_softmax(x * m.scale, dim=1)


def shifted(m, x):
    return 0.3 - m.layer((x - 0.1307) / 0.3081) * 0.1 + torch.rsub(x, 1 / 3) + (x - m.tenth)


def by_rank_one(m, x):
    one = m.layer(x).sum(1)  # [N]
    return x * torch.stack([one, one.tanh()], 1).mean(1).unsqueeze(-1)


def in_place(m, x):
    y = m.layer(x).sub_(0.1)
    y += x
    return F.elu_(y).neg().clamp_(-3, 3) + (2 + x.square()).reciprocal()


def near_zero(m, x):
    y = m.layer(x).multiply(0.1)
    return torch.expm1(-y.absolute()) + torch.log1p(y.square()) + torch.erf(y) + torch.special.expit(y)


def copied(m, x):
    y = m.layer(x)
    some = y[:, [0, -1, 0]] + x.index_select(1, m.places)[:, :1].expand(-1, 3)
    return x.flip(1) + y.roll(1, 1) * torch.cat([some, y.repeat(1, 2)], 1)[:, : x.shape[1]]


def parted(m, x):
    one, other = torch.stack([x, m.layer(x)], 2).unbind(-1)
    return other.clamp_min(-0.5) * torch.clamp_max(one, 0.75) + F.linear(x, m.layer.weight.t(), m.scale)


def energy(m, x):
    y = m.layer(x)
    return (y - y.logsumexp(1, keepdim=True)) * (0.5 + y.square()).rsqrt() + torch.logsumexp(x, (1,)).unsqueeze(1)


def recurrent(m, x):
    h = torch.zeros(x.shape[0], x.shape[1], dtype=x.dtype)
    for _ in range(2):
        h = torch.tanh(m.layer(h) + x * m.scale)
    return h


def padded(m, x):
    y = torch.cat([m.layer(x), x.new_ones(len(x), 1)], 1) * torch.sigmoid(x.new_full((len(x), 1), 0.3))
    return y[:, 1:] - torch.stack([torch.zeros_like(x), torch.full_like(x, 0.1) * x], 1).sum(1)


def reshaped(m, x):
    W = m.layer.weight.reshape(-1).view(*m.layer.weight.shape)
    y = (x @ W) * m.scale[None, :]
    return F.linear(y, W.t().contiguous()) + m.scale.unsqueeze(0).expand_as(x) - m.scale.repeat(2)[1 : x.shape[1] + 1]


def with_a_token(m, x):
    tokens = torch.cat([m.scale.expand(x.shape[0], 1, -1), x.unsqueeze(1)], 1)
    return (tokens * m.layer.weight[:1].expand(2, -1)).sum(1) * m.layer.weight.T.select(0, 0)


def of_length_one(m, x):
    y = m.layer(x) + 1
    return F.normalize(y, dim=-1) + x / (1 + torch.linalg.vector_norm(y, dim=1, keepdim=True))


def spread(m, x):
    y = m.layer(x)
    v = torch.var(y, 1, unbiased=False, keepdim=True)
    return (y - y.mean(1, keepdim=True)) / torch.sqrt(v + 0.1) * (1 + y.var(dim=1, correction=0)).unsqueeze(1) ** -0.5


def in_other_words(m, x):
    y = torch.addmm(m.scale, x, m.layer.weight)
    z = torch.einsum("...i,oi->...o", x, m.layer.weight) + torch.tensordot(x, m.layer.weight, dims=1)
    both = torch.stack([y, z], 1).mT.flatten(1).tile(1, 2)[:, : x.shape[1]]
    return torch.addcmul(both, y, z) - torch.sub(y, z, alpha=0.3) * (x @ m.scale)[:, None]


def summed_up(m, x):
    y = m.layer(x).cumsum(1)
    z = torch.exp2(-y.abs()) + torch.log2(1.5 + torch.tanh(x)) + F.softmin(y, dim=1)
    return F.pad(z, (1, 2), value=0.3)[:, : x.shape[1]] * torch.stack([y, x], 1).movedim(1, 2).mean(2)


LATER = (recurrent, padded, reshaped, with_a_token, of_length_one, spread, in_other_words, summed_up)
FUNCTIONS += (copied, parted, energy, *LATER)
FUNCTIONS += (turned, attending, shifted, by_rank_one, in_place, near_zero)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_right_paths_agree_on_models_with_functions_of_all_kinds(function, dtype):
    for seed in range(DTYPES.index(dtype), 8, len(DTYPES)):  # other sizes for each dtype
        torch.manual_seed(seed)
        draw = random.Random(seed)
        d, N, factor = draw.choice([1, 3, 5, 7, 17]), draw.choice([1, 2, 9]), draw.choice([0.1, 1, 30])
        others = [Written(d, draw.choice(FUNCTIONS)) for _ in range(draw.randint(0, 2))]
        model = nn.Sequential(Written(d, function), *others, nn.Linear(d, draw.choice([1, 2]))).to(dtype)
        x = (torch.randn(N, d) * factor).to(dtype)
        if not model(x).isfinite().all():  # then other samples' gradients are NaN, a known defect of torch's
            continue
        report = check(model, x, paths=PATHS)
        assert report.ok, report
        assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}, report


LAYERS = (nn.PReLU(), nn.PReLU(5), nn.BatchNorm1d(5), nn.BatchNorm1d(5, affine=False), nn.Softmax(1), nn.LogSoftmax(-1))
LAYERS += (nn.LayerNorm(5), nn.LayerNorm(5, elementwise_affine=False), nn.Softmin(1), nn.GroupNorm(1, 5))
LAYERS += (nn.GroupNorm(1, 5, affine=False),)
LAYERS += (nn.RMSNorm(5, eps=1e-3), nn.RMSNorm(5, 0.1, elementwise_affine=False)) if hasattr(nn, "RMSNorm") else ()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_right_paths_agree_on_layers_of_other_libraries_models(layer, dtype):
    of_a_sample = isinstance(layer, (nn.LayerNorm, nn.GroupNorm))
    if of_a_sample and not differentiates(nn.LayerNorm(1, elementwise_affine=False), dtype, "cpu"):
        pytest.skip("no layer normalization in this dtype")
    torch.manual_seed(0)
    layer = deepcopy(layer).eval()
    for t in (*layer.parameters(), *(buffer for buffer in layer.buffers() if buffer.is_floating_point())):
        t.data = torch.rand(t.shape) + 0.5
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 5), layer, nn.Linear(5, 2)).to(dtype)
    reverse = () if isinstance(layer, nn.PReLU) else ("vmap_jacrev",)  # torch puts PReLU's weight on the wrong axis
    paths = ("autograd", "autograd_batched", "vmap_jacfwd", *reverse)
    report = check(model, torch.randn(7, 3).to(dtype), paths=paths)
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}, report
    if dtype in (torch.float64, torch.float32):
        report = check(model, torch.randn(7, 3).to(dtype), paths=("batch_grad", "sqrt_ggn_exact"))
        assert {verdict.status for verdict in report.verdicts.values()} <= {"agrees", "unsupported"}, report


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_right_paths_agree_on_a_gated_linear_unit(dtype, scale):
    if not differentiates(lambda t: F.glu(torch.cat([t, t], 1)), dtype, "cpu"):
        pytest.skip("no gated linear unit in this dtype")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.GLU(), nn.Linear(4, 2)).to(dtype)
    report = check(model, (torch.randn(5, 3) * scale).to(dtype), paths=PATHS)
    forward = report.verdicts["vmap_jacfwd"].status
    assert forward == "agrees" or (forward == "unsupported" and dtype in (torch.float16, torch.bfloat16)), report
    assert {report.verdicts[path].status for path in PATHS[:3]} == {"agrees"}, report


@pytest.mark.parametrize("function", [torch.abs, lambda t: t.clamp(0, 1), lambda t: abs(t)], ids=["abs", "clamp", "||"])
def test_at_a_kink_the_derivative_is_torchs_own(function):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.Parameter(torch.tensor([-1.0, 0.0, 1.0, 2.0]))

        def forward(self, x):
            return function(x + self.b)

    report = check(Model(), torch.zeros(1, 4), paths=PATHS, properties=("enclosure", "exact"))
    assert report.ok, report
    assert {verdict.status for verdict in report.verdicts.values()} <= {"agrees", "vacuous"}


@pytest.mark.parametrize("function", [lambda m, x: x @ m.layer.weight.T.abs(), lambda m, x: x @ x.T])
def test_of_functions_of_a_transposed_parameter_and_of_transposed_samples_nothing_is_said(function):
    verdict = check(Written(3, function), torch.ones(3, 3), paths=("autograd",)).verdicts["autograd"]
    assert verdict.status == "vacuous"
    assert "no enclosure for" in verdict.reason


def in_place_of_a_view(m, x):
    y = m.layer(x)
    y.view(-1, 3).relu_()
    return y


MIXING = (
    lambda m, x: (m.layer(x).unsqueeze(1) * m.layer(x)).sum(1),
    lambda m, x: m.layer(x) + m.layer(x).sum(1),
    in_place_of_a_view,
)


SAME_MEMORY = (
    lambda t: t.to(t.dtype),
    lambda t: t.float(),
    lambda t: t.cpu(),
    lambda t: t.type_as(t),
    lambda t: t.view_as(t),
    lambda t: t.expand_as(t),
    lambda t: t.unsqueeze(2).adjoint().flatten(1),
    lambda t: F.dropout1d(t, training=False),
    lambda t: F.alpha_dropout(t),
)


@pytest.mark.parametrize("other", range(len(SAME_MEMORY)))
def test_what_lies_in_the_memory_of_a_value_that_is_used_elsewhere_is_told_by_that(other):
    """Whatever the function is called: or torch's own forward pass, which sees what is written, would be accused."""

    def function(m, x):
        y = m.layer(x)
        return SAME_MEMORY[other](y).add_(1.5).exp() * y

    report = check(Written(3, function), torch.randn(3, 3), paths=("autograd",))
    assert report.forward is None
    assert "is used elsewhere" in report.verdicts["autograd"].reason


@pytest.mark.parametrize("function", MIXING)
def test_of_what_mixes_samples_or_is_written_to_from_elsewhere_nothing_is_said(function):
    report = check(Written(3, function), torch.randn(3, 3), paths=PATHS)
    assert report.forward is None
    assert {verdict.status for verdict in report.verdicts.values()} == {"vacuous"}, report


MOVING = (
    lambda m, x: torch.zeros_like(x).add_(m.layer(x)),
    lambda m, x: torch.cat([m.layer(x), torch.zeros(3, 3)])[:3],
    lambda m, x: m.layer(x) * torch.arange(3)[:, None],
    lambda m, x: torch.cat([m.layer(x), torch.eye(3)], 1),
    lambda m, x: m.layer(torch.eye(3)) * x,
    lambda m, x: m.layer(x).flip(0),
    lambda m, x: m.layer(x).roll(1),
    lambda m, x: m.layer(x).index_select(0, m.order),
    lambda m, x: m.layer(x)[m.order, :],
    lambda m, x: m.layer(x)[..., [2, 0, 1], :],
    lambda m, x: m.layer(x).repeat(2, 1)[:3],
    lambda m, x: sum(m.layer(x).unbind(0)).expand(3, 3),
)


@pytest.mark.parametrize("function", MOVING)
def test_of_what_moves_samples_nothing_is_said(function):
    report = check(Written(3, function), torch.randn(3, 3), paths=("autograd", "autograd_batched"))
    assert {verdict.status for verdict in report.verdicts.values()} == {"vacuous"}, report


@pytest.mark.parametrize("say", [lambda t: t.chunk(2), lambda t: t.split(1)], ids=["chunk", "split"])
def test_parts_of_the_batch_are_no_parts_of_a_sample(say):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            parts = say(self.layer(x))
            return torch.cat([parts[0], parts[1]])

    verdict = check(Model(), torch.ones(2, 2), paths=("autograd",)).verdicts["autograd"]
    assert verdict.status == "vacuous"
    assert "batch axis" in verdict.reason


class Asking(nn.Module):
    """It branches on what doesn't depend on numbers, and takes more than x."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x, mask=None, *, times=2, **others):
        if x.dim() == 2 and len(x) == x.size(0) and x.shape[1] == 3 and x.is_floating_point():
            x = x.view(x.shape[0], -1).to(x.dtype)
        if mask is not None:
            x = x * mask
        for _ in range(times):
            x = torch.cat([torch.tanh(self.layer(column)) for column in (x, x)], 1)[:, : x.shape[1]]
        return x


def test_a_model_may_ask_for_shapes_and_have_other_arguments():
    report = check(Asking(), torch.randn(4, 3), paths=PATHS)
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}, report


@pytest.mark.filterwarnings("ignore:var")  # that none of no samples can be
@pytest.mark.parametrize("N", [0, 1, 3])
@pytest.mark.parametrize("function", [by_rank_one, gated, *LATER], ids=lambda f: f.__name__)
def test_any_number_of_samples_is_judged_in_any_order(function, N):
    report = check(Written(3, function), torch.randn(N, 3), paths=PATHS)
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}, report


def test_a_branch_on_numbers_is_not_followed():
    class Branching(Asking):
        def forward(self, x):
            return self.layer(x) if x.sum() > 0 else x

    report = check(Branching(), torch.ones(4, 3), paths=("autograd",))
    assert report.verdicts["autograd"].status == "vacuous"
    assert "can't trace" in report.verdicts["autograd"].reason


class Cached(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3, 2))
        self.kernel = self.w.exp()

    def forward(self, x):
        return x @ self.kernel


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_of_what_is_made_of_parameters_beforehand_nothing_is_proved():
    x = torch.ones(4, 3)
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 2)), nn.Tanh())
    for context in (torch.enable_grad(), torch.no_grad()):
        with context:
            model(x)
        with pytest.raises(Unsupported, match="weight is a tensor and no parameter"):
            enclosure(model, x)
    with pytest.raises(Unsupported, match="made of others before the forward pass"):
        enclosure(Cached(), x)
