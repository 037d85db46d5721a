"""The model's activations with layers of other sizes."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, pairwise

import pytest
import torch
from torch import nn

from jaccheck import check, register_path
from jaccheck._layers import EDGES
from jaccheck._problem import admit
from jaccheck.paths import get, unregister_path
from jaccheck.properties._activations import activations, ordinary
from jaccheck.properties._variants import PASSES
from jaccheck.properties.sizes import EACH, FEW, LARGE, MOST, PERIOD, UNITS, Sizes, _few, _many, _size, _some
from jaccheck.reproducer import reproducer
from tests.enclosure.cases import ACTIVATIONS, DTYPES, OTHERS
from tests.sums import skip_where_rounded_each_time

NS, CS = (len(_some(random.Random(), large=large)) for large in (6, 3))
MUCH, ROWS = 5, len(EACH) // 3


def problem(k=0, dtype=torch.float32, layers=(nn.Tanh,)):
    model = nn.Sequential(nn.Linear(2, 2), *(kind() for kind in layers)).to(dtype)
    return model, torch.full((3, 2), 1.0 + k, dtype=dtype)


def built(k, **options):
    """The models of all variants."""
    return [variant.takes[0].problem for variant in Sizes().variants(admit(*problem(k, **options)))]


def test_one_number_of_features_units_or_outputs_is_large_and_each_activation_meets_all_units():
    features, units, outputs, *others = built(0, layers=(nn.Tanh, nn.ELU, nn.Tanh))
    samples, (summed, *others) = others[:NS], others[NS:]
    layers, many, (alike, *rows) = others[:CS], others[CS : CS + MUCH], others[CS + MUCH :]
    assert [features.x.shape[1] > 3, units.model[0].out_features > 3, outputs.C > 3] == [True] * 3
    assert len({one.N for one in samples} & set(EACH)) == NS
    assert summed.model[2].out_features in LARGE
    assert len({one.C for one in layers} & set(EACH)) == CS
    assert all(
        few <= (4 if many <= FEW else 1) for one in (*samples, *layers) for few, many in [sorted((one.N, one.C))]
    )
    assert {1, 2} <= {one.C for one in samples} | {one.N for one in layers} <= {1, 2, 3, 4}
    assert all(set(one.parameters) == {"0.weight", "0.bias"} for one in layers)
    assert all(sum(n > 4 for n in (one.x.shape[1], one.model[0].out_features, one.N, one.C)) > 0 for one in many)
    for one in (features, units, outputs, *samples):
        small = [one.x.shape[1], one.model[0].out_features, one.C, one.N]
        assert sum(size > 4 for size in small) == (max(small) > 4)
        assert max(small) > 3
        assert set(one.parameters) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert {tuple(p.shape) for p in alike.parameters.values()} == {(3, 3)}
    assert list(alike.parameters) != sorted(alike.parameters)
    rows, chains = rows[:ROWS], rows[ROWS:]
    sizes = [size for row in rows for size in (row.x.shape[1], row.model[0].out_features, row.model[2].out_features)]
    assert sorted(sizes) == EACH == sorted({*EDGES, *range(4, FEW + 1)})
    assert {(row.N, row.C, len(row.parameters)) for row in rows} == {(1, 1, 6)}
    assert [type(chain.model[1]) for chain in chains] == [nn.Tanh] * 4 + [nn.ELU] * 4
    for chain, units in zip(chains, UNITS * 2, strict=True):
        assert [layer.out_features for layer in chain.model if isinstance(layer, nn.Linear)] == [*units, 1]


@pytest.mark.parametrize("seldom", [False, True])
def test_every_edge_comes_and_others_too(seldom):
    numbers = random.Random(0)
    sizes = [_size(numbers, seldom=seldom) for _ in range(4000)]
    assert {*EDGES, *LARGE} <= set(sizes) <= {*range(4, MOST + 1), *LARGE}
    assert {10, 20, 30} <= set(sizes)
    assert len(set(sizes)) > 200


def test_each_number_of_samples_and_outputs_comes_with_few_of_the_other():
    numbers = random.Random(0)
    times = Counter(size for _ in range(100) for size in _some(numbers, large=1))
    assert sorted(times) == EACH
    assert min(times.values()) > 5
    assert len({(size, _few(numbers, size)) for _ in range(100) for size in _some(numbers, large=0) if size < 10}) == 24


def test_there_is_much_of_several_at_once():
    numbers = random.Random(0)
    found = [
        (N, units, N * units[2], N * units[2] * sum(a * b for a, b in pairwise(units)))
        for _ in range(40)
        for units, N in _many(numbers)
    ]
    assert len(found) == 40 * MUCH
    assert any(units[0] > 64 and units[1] > 64 and N > 20 for N, units, *_ in found)
    assert any(N > 32 and units[2] > 8 for N, units, *_ in found)
    assert any(N > 512 for N, *_ in found)
    assert any(rows > 1100 for *_, rows, _ in found)
    assert any(entries > 2**20 for *_, entries in found)


KINDS = (nn.Tanh, nn.Sigmoid, nn.ReLU, nn.ELU, nn.SELU, nn.LeakyReLU, nn.LogSigmoid, nn.Softplus, nn.Hardtanh)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float16, 0.9), (torch.bfloat16, 0.75), (torch.float32, 0.99)])
def test_an_activation_that_is_wrong_by_half_for_one_size_alone_would_show(dtype, most):
    """In most entries: its own may be wrong, or those behind and before it."""
    skip_where_rounded_each_time(dtype)
    shows = []
    for variant in Sizes().variants(admit(*problem(dtype=dtype, layers=KINDS))):
        if len(variant.takes[0].problem.model) > 5:
            oracle = variant.judge.oracle
            for name in oracle.jacobians():
                ball = oracle.rows(name, slice(None), slice(None))
                shows.append((ball.radius < ball.centre.abs() / 2)[ball.centre != 0].flatten())
    assert float(torch.cat(shows).double().mean()) > most


def test_another_problem_has_other_sizes():
    firsts = [islice(Sizes().made(admit(*problem(k))), 3) for k in range(8)]
    threes = [[make().takes[0].problem for make in first] for first in firsts]
    assert len({(a.x.shape[1], b.model[0].out_features, c.C) for a, b, c in threes}) == 8


def test_without_activations_there_are_only_layers():
    assert len(built(0, layers=())) == 5 + NS + CS + MUCH + ROWS


def test_numbers_are_of_ordinary_size_and_no_two_rows_are_alike():
    for edge in EDGES:
        assert edge % PERIOD
    for one in built(0, dtype=torch.float64):
        sums = one.model[0](one.x)
        assert 0.02 < sums.abs().mean() < 5
        for p in one.parameters.values():
            if p.dim() == 2 and p.shape[1] > 1:
                assert len(p[:PERIOD].unique(dim=0)) > 0.8 * min(len(p), PERIOD)


class Cut:
    """Beyond a number of outputs, or of units, rows are missing."""

    name = "cut"

    def __init__(self, axis):
        self.axis = axis

    def jacobian(self, model, x):
        found = get("vmap_jacrev").jacobian(model, x)
        return {
            name: j.index_fill(self.axis, torch.arange(200, max(200, j.shape[self.axis])), 0)
            for name, j in found.items()
        }


@pytest.fixture(params=[1, 2], ids=["outputs", "units"])
def cut(request):
    register_path(Cut(request.param))
    yield "cut"
    unregister_path("cut")


def test_what_is_wrong_at_large_sizes_alone_is_found(cut, tmp_path):
    for k in range(60):
        model, x = problem(k)
        report = check(model, x, paths=(cut, "vmap_jacrev"), properties=("sizes",))
        assert report.verdicts["vmap_jacrev"].status == "agrees"
        if not report.ok:
            assert "Tanh() between layers of" in report.verdicts[cut].reason
            assert check(model, x, paths=(cut,)).ok
            return
    pytest.fail("no size over 200 was tried")


class SummedInItsDtype(torch.autograd.Function):
    """A layer whose backward pass adds up its units' parts one by one, each sum rounded."""

    @staticmethod
    def forward(ctx, a, weight, z):
        ctx.save_for_backward(weight)
        return z.clone()

    @staticmethod
    def backward(ctx, *grads):
        (weight,) = ctx.saved_tensors
        return sum(d[:, None] * row for d, row in zip(grads[0].unbind(1), weight, strict=True)), None, None


class Half:
    name = "half"

    def jacobian(self, model, x):
        wide = [layer for layer in list(model)[1:-1] if isinstance(layer, nn.Linear) and layer.out_features > 300]
        if not wide:
            return get("vmap_jacrev").jacobian(model, x)
        hooks = [
            layer.register_forward_hook(lambda layer, args, z: SummedInItsDtype.apply(args[0], layer.weight, z))
            for layer in wide
        ]
        try:
            return {**get("autograd").jacobian(model, x)}
        finally:
            for hook in hooks:
                hook.remove()


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_sum_over_many_units_in_half_precision_is_found(dtype):
    register_path(Half())
    try:
        problems = [problem(k, dtype, layers=(nn.ReLU,)) for k in range(3)]
        reports = [check(*each, paths=("half", "vmap_jacrev"), properties=("sizes",)) for each in problems]
    finally:
        unregister_path("half")
    assert [report.verdicts["vmap_jacrev"].status for report in reports] == ["agrees"] * 3
    assert "disagrees" in {report.verdicts["half"].status for report in reports}


def test_a_script_holds_a_layer_of_any_of_the_sizes():
    """Its numbers are repeated, so that a line or two give them."""

    class Half:
        name = "half"
        snippet = """
        def jacobian(model, x):
            rows = [torch.autograd.grad(y, list(model.parameters()), retain_graph=True) for y in model(x).flatten()]
            every = zip(dict(model.named_parameters()), zip(*rows))
            return {name: torch.stack(j).view(*model(x).shape, *j[0].shape) / 2 for name, j in every}
        """

        def jacobian(self, model, x):
            found = get("autograd").jacobian(model, x)
            return {name: j / 2 if len(model) == 3 else j for name, j in found.items()}

    register_path(Half())
    try:
        model, x = problem()
        report = check(model, x, paths=("half",), properties=("sizes",))
        assert len(reproducer(model, x, report).splitlines()) < 60
    finally:
        unregister_path("half")


def test_a_path_that_goes_forward_is_asked_of_what_takes_few_passes():
    one = admit(*problem())
    forward, reverse = (
        [case.problem for case in Sizes().cases(one, get(path))] for path in ("vmap_jacfwd", "vmap_jacrev")
    )
    assert 10 < len(forward) < len(reverse)
    assert max(each.size for each in forward) <= PASSES


def test_a_model_of_which_nothing_is_known_has_nothing_to_say():
    model, x = nn.Sequential(nn.Linear(2, 2), nn.MaxPool1d(1)), torch.ones(1, 2)
    verdict = check(model, x, paths=("autograd",), properties=("sizes",)).verdicts["autograd"]
    assert verdict.status == "vacuous"
    assert "no enclosure for MaxPool1d" in verdict.reason


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(3, 2), function

    def forward(self, x):
        return self.function(self.layer(x))


def standardized(a):
    return (a - a.mean(1, keepdim=True)) / torch.sqrt(a.var(1, keepdim=True) + 1e-3)


@pytest.mark.parametrize(
    "function", [standardized, torch.log1p, lambda a: a.abs().log(), lambda a: a**64, lambda a: (1 + a.exp()).log()]
)
@pytest.mark.parametrize("law", ["sizes", "forms"])
def test_what_has_no_value_at_some_ordinary_argument_is_left_to_other_properties(law, function):
    torch.manual_seed(0)
    verdict = check(Of(function), torch.randn(2, 3), paths=("vmap_jacrev",), properties=(law,)).verdicts["vmap_jacrev"]
    assert verdict.status == "agrees", verdict.reason


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_each_activation_that_is_drawn_has_values_at_all_of_them(dtype):
    model = nn.Sequential(nn.Linear(1, 1), *ACTIVATIONS, *OTHERS).to(dtype)
    problem = admit(model, torch.ones(1, 1, dtype=dtype))
    assert ordinary(problem).keys() == activations(problem).keys()
