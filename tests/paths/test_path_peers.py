"""The paths of libraries that jaccheck doesn't depend on: what they refuse, and where they are absent."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hand_derived import Functional, Scaled, mlp, mlp_jacobian
from torch import nn
from torch.nn.utils import weight_norm

import jaccheck
from jaccheck._errors import Unsupported
from jaccheck._state import Snapshot
from jaccheck.paths import _PEERS, get, jacobian, paths

installed = [name for name in _PEERS if name in paths()]
needs_opacus = pytest.mark.skipif("opacus" not in paths(), reason="opacus is not installed")
WITH_BUFFERS = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).train()
FLATTENED = nn.Sequential(
    nn.Flatten(0, 1), nn.Unflatten(0, (8, 1)), nn.Linear(1, 1), nn.Flatten(0), nn.Unflatten(0, (4, 2))
)


class LastOfLSTM(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0][:, -1]


@pytest.mark.long
def test_asking_for_all_names_loads_none_and_where_one_is_absent_it_is_none_of_all_and_says_so_when_named():
    program = f"""
import sys, jaccheck, torch
from jaccheck.paths import _peers, resolve
jaccheck.paths()
assert not {set(_PEERS)!r} & set(sys.modules)
model, x = torch.nn.Linear(2, 1), torch.ones(1, 2)
for name in {list(_PEERS)!r}:
    sys.modules[name] = None
    _peers.cache_clear()  # it has been asked already
    assert name not in jaccheck.paths()
    verdict = jaccheck.check(model, x, paths=[name]).verdicts[name]
    assert verdict.status == "unsupported"
    assert verdict.reason == f"this path needs {{name}}, which is not installed: pip install 'jaccheck[peers]'"
assert not {set(_PEERS)!r} & set(resolve("all"))
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", installed)
@pytest.mark.parametrize(
    "model", [Functional(), Scaled(), nn.Sequential(nn.Flatten(0, -1), nn.Unflatten(0, (4, 2)), nn.Linear(2, 1))]
)
def test_a_correct_result_or_a_refusal_and_nothing_left(name, model):
    x = torch.randn(4, 2) if not isinstance(model, Functional) else torch.randn(4, 3)
    assert jaccheck.check(model, x, paths=[name], repeat=True).ok


@needs_opacus
def test_opacus_records_layers_in_evaluation_mode_that_are_the_same_in_either():
    model, x = mlp()
    model.eval()
    J = jacobian(model, x, "opacus")
    assert all(torch.equal(J[name], j) for name, j in mlp_jacobian().items())
    assert not any(module.training for module in model.modules())


@needs_opacus
@pytest.mark.parametrize(
    ("model", "x", "says"),
    [
        (WITH_BUFFERS, torch.ones(4, 2), "buffers"),
        (Scaled().eval(), torch.ones(4, 2), "the model (Scaled): Opacus records nothing of a layer in evaluation mode"),
        (FLATTENED, torch.ones(4, 2), "'2.weight': Opacus takes 8 samples for 4"),
    ],
)
def test_opacus_refuses(model, x, says):
    before = Snapshot.take(model, x)
    with pytest.raises(Unsupported) as refused:
        get("opacus").jacobian(model, x)
    assert says in str(refused.value)
    assert before.undone() == []


@needs_opacus
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated", "ignore:.*weight_norm` is deprecated")
@pytest.mark.parametrize(
    ("made", "says"),
    [
        (torch.jit.script, "'0' (RecursiveScriptModule): param must be a Parameter"),
        (weight_norm, "'0' (Linear): 'Parameter' object has no attribute"),
    ],
)
def test_opacus_refuses_a_layer_whose_weight_is_no_parameter_of_its_own(made, says):
    model = nn.Sequential(made(nn.Linear(2, 3)))
    with pytest.raises(Unsupported) as refused:
        get("opacus").jacobian(model, torch.ones(4, 2))
    assert says in str(refused.value)


@needs_opacus
def test_a_model_that_opacus_is_on_already_is_left_to_it():
    from opacus.grad_sample import GradSampleModule

    model, x = mlp()
    sampler = GradSampleModule(model, loss_reduction="sum")
    for taken in (model, sampler):
        with pytest.raises(Unsupported, match=r"take to_standard_module\(\)"):
            get("opacus").jacobian(taken, x)
    sampler(x.requires_grad_()).sum().backward()
    assert model[0].weight.grad_sample.shape == (4, 2, 3)


@pytest.mark.skipif("curvlinops" not in paths(), reason="curvlinops is not installed")
@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.DataParallel(nn.Linear(2, 3)), "the model (DataParallel): The stateless API can't be used"),
        (LastOfLSTM(2, 3, batch_first=True), "the model (LastOfLSTM)"),
    ],
)
def test_curvlinops_refuses(model, says):
    x = torch.ones(4, 5, 2) if isinstance(model, nn.LSTM) else torch.ones(4, 2)
    with pytest.raises(Unsupported) as refused:
        get("curvlinops").jacobian(model, x)
    assert says in str(refused.value)


@pytest.mark.parametrize("name", installed)
def test_fewer_unit_vectors_at_a_time_than_there_are(name):
    model, x = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 3)), torch.randn(300, 2)
    assert jaccheck.check(model, x, paths=[name]).verdicts[name].status == "agrees"
