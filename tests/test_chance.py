"""With a seed, layers of chance are judged: all draw the same, and nobody notices afterwards."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import jaccheck
from jaccheck._capabilities import differentiates, squared_error
from jaccheck._chance import seeded
from jaccheck._errors import InvalidProblem
from jaccheck.paths import get, unregister_path
from jaccheck.properties import PROPERTIES
from tests.planted import planted

ALL = ("autograd", "batch_grad", "sqrt_ggn_exact", "autograd_batched")


def model(*, p=0.3, dtype=torch.float32):
    layers = nn.Linear(4, 5), nn.Dropout(p), nn.Tanh(), nn.Linear(5, 6), nn.Sigmoid(), nn.Dropout(), nn.Linear(6, 3)
    return nn.Sequential(*layers).to(dtype)


def inputs(dtype=torch.float32):
    return torch.linspace(-1, 1, 16, dtype=torch.float64).view(4, 4).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_all_paths_agree_on_the_masks_that_the_seed_gives(dtype, p):
    paths = set(ALL)
    if p == 1 or not differentiates(squared_error, dtype, "cpu"):  # BackPACK divides by 1 - p
        paths.remove("sqrt_ggn_exact")
    report = jaccheck.check(model(p=p, dtype=dtype), inputs(dtype), paths=sorted(paths), seed=5, repeat=True)
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}


def test_the_random_numbers_go_on_as_if_nothing_had_been():
    net, x = model(), inputs()
    state, other = torch.get_rng_state(), random.getstate()
    jaccheck.check(net, x, seed=5)
    jaccheck.jacobian(net, x, seed=5)
    jaccheck.enclosure(net, x, seed=5)
    with pytest.raises(InvalidProblem):
        jaccheck.check(net, torch.ones(4, 3), seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == other


def test_another_seed_gives_another_jacobian_and_the_same_seed_the_same():
    net, x = model(), inputs()
    first, again, other = (jaccheck.jacobian(net, x, seed=seed)["0.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    ball = jaccheck.enclosure(net, x, seed=1)["0.weight"]
    assert not ball.excludes(first).any()
    assert ball.excludes(other).any()


@pytest.mark.parametrize(
    ("drop", "x"),
    [
        (nn.Dropout(0.4), inputs()),
        (nn.Dropout(0.4), inputs().t()),  # which elements fall depends on how they lie in memory
        (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Dropout1d(), nn.Flatten()), inputs()),
        (nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.Dropout2d(), nn.Flatten()), inputs()),
    ],
    ids=["Dropout", "transposed", "Dropout1d", "Dropout2d"],
)
def test_each_kind_of_dropout_has_a_rule(drop, x):
    report = jaccheck.check(nn.Sequential(drop, nn.Linear(4, 2)), x, paths=("autograd",), seed=3)
    assert report.verdicts["autograd"].status == "agrees"


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return F.dropout(self.layer(F.dropout(x, 0.2, True)), 0.6, self.training)


def test_a_function_of_chance_in_a_model_of_ones_own_is_judged_with_a_seed_alone():
    report = jaccheck.check(Own(), inputs(), paths=("autograd", "batch_grad"), seed=3)
    assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}
    with pytest.raises(InvalidProblem, match=r"random numbers .* pass a seed"):
        jaccheck.check(Own(), inputs(), paths=("autograd",), properties=("enclosure",))


def test_without_a_seed_training_mode_is_refused_and_the_message_says_what_to_do():
    with pytest.raises(InvalidProblem, match=r"'1' \(Dropout\).*model\.eval\(\) first, or pass a seed"):
        jaccheck.check(model(), inputs())
    with pytest.raises(InvalidProblem, match=r"'1' \(BatchNorm1d\).*model\.eval\(\) first$"):
        jaccheck.check(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), inputs(), seed=1)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, "1"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(InvalidProblem, match="seed"):
        jaccheck.check(model(), inputs(), seed=seed)


def test_masks_change_with_the_batch_and_so_those_properties_say():
    for law, what in (("batching", "batch"), ("layout", "layout")):
        verdict = jaccheck.check(model(), inputs(), paths=("autograd",), properties=(law,), seed=2).verdicts["autograd"]
        assert (verdict.status, verdict.reason) == (
            "vacuous",
            f"layers of chance draw other numbers for another {what}",
        )


def test_the_other_properties_judge_it():
    laws = ("enclosure", "state", "determinism", "sequence")
    report = jaccheck.check(model(), inputs(), paths=ALL, properties=laws, seed=2)
    assert report.ok
    assert set(laws) < set(PROPERTIES)


def test_a_seed_makes_no_difference_where_nothing_is_left_to_chance():
    net, x = model().eval(), inputs()
    verdict = jaccheck.check(net, x, paths=("batch_grad",), properties=("batching",), seed=2).verdicts["batch_grad"]
    assert verdict.status == "agrees"

    def drawing(net, x, J):
        torch.rand(())
        return J

    with planted(drawing) as path:
        verdict = jaccheck.check(net, x, paths=(path,), properties=("state",), seed=2).verdicts[path]
    assert verdict.kind == "state"


def test_a_path_that_draws_its_own_masks_is_caught():
    class Unseeded:
        name = "unseeded"

        def jacobian(self, net, x):
            with seeded(99, x.device):
                return get("autograd").jacobian(net, x)

    jaccheck.register_path(Unseeded())
    try:
        report = jaccheck.check(model(), inputs(), paths=("unseeded",), seed=2)
    finally:
        unregister_path("unseeded")
    assert report.verdicts["unseeded"].kind == "value"


@pytest.mark.parametrize("thread", [False, True])
def test_a_path_that_asks_jaccheck_in_turn_draws_the_same_masks(thread):
    def asking(net, x, _):
        if thread:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(jaccheck.jacobian, net, x).result()
        return jaccheck.jacobian(net, x)

    with planted(asking, base="autograd") as path:
        verdicts = jaccheck.check(model(), inputs(), paths=(path,), properties=("enclosure", "forms"), seed=2).verdicts
    assert verdicts[path].status == "agrees", verdicts[path].reason
    with pytest.raises(InvalidProblem, match="pass a seed"):
        asking(model(), inputs(), None)


def test_the_report_says_how_to_see_it_again():
    net, x = model(), inputs()
    report = jaccheck.check(net, x, paths=("autograd",), seed=2)
    assert report.again == "jaccheck.check(model, x, paths=('autograd',), seed=2)"
    assert eval(report.again, {"jaccheck": jaccheck, "model": net, "x": x}).ok
