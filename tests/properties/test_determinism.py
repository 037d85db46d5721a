"""`determinism`: where what a path gives lies in memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jaccheck import check
from tests.planted import planted


def in_one_buffer(model, x, J):
    """Each parameter's in a part of its own."""
    parts = torch.cat([j.flatten() for j in J.values()]).split([j.numel() for j in J.values()])
    return {name: part.view(j.shape) for part, (name, j) in zip(parts, J.items(), strict=True)}


def equals_in_one_place(model, x, J):
    return {name: next(other for other in J.values() if torch.equal(other, j)) for name, j in J.items()}


def zeros_expanded(model, x, J):
    """Which nobody can write to."""
    zero = torch.zeros(())
    return {name: j if j.any() else zero.expand(j.shape) for name, j in J.items()}


@pytest.fixture
def dead():
    """Between its layers all is 0, and so are both weights' Jacobians."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    return model, torch.ones(1, 2)


@pytest.mark.parametrize("fault", [in_one_buffer, zeros_expanded])
def test_two_jacobians_may_lie_in_one_buffer_or_be_none_to_write_to(fault, dead):
    with planted(fault) as path:
        assert check(*dead, paths=(path,), properties=("determinism",)).ok


def test_they_may_not_lie_in_one_place(dead):
    with planted(equals_in_one_place) as path:
        verdict = check(*dead, paths=(path,), properties=("determinism",)).verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "state")
    assert verdict.reason == "the Jacobian of '2.weight' lies in the memory of that of '0.weight', and changes with it"


def test_nor_in_the_users_memory():
    def bias_in_x(model, x, J):
        return {**J, "bias": x.detach()[:, None]}

    with planted(bias_in_x) as path:
        verdict = check(nn.Linear(1, 1), torch.ones(1, 1), paths=(path,), properties=("determinism",)).verdicts[path]
    assert verdict.reason == "the Jacobian of 'bias' lies in the memory of 'x', and changes with it"


def test_nor_in_that_of_the_users_gradients():
    model = nn.Linear(1, 1)
    model.weight.grad = torch.ones(1, 1)

    def in_grad(model, x, J):
        return {name: J[name] if p.grad is None else p.grad.view(1, 1, 1, 1) for name, p in model.named_parameters()}

    with planted(in_grad) as path:
        verdict = check(model, torch.ones(1, 1), paths=(path,), repeat=True).verdicts[path]
    assert verdict.reason == "the Jacobian of 'weight' lies in the memory of 'weight.grad', and changes with it"


def test_a_second_call_may_not_use_the_first_ones_memory():
    kept = {}

    def in_buffers(model, x, J):
        return {name: kept.setdefault(name, j).copy_(j) for name, j in J.items()}

    with planted(in_buffers) as path:
        report = check(nn.Linear(1, 1), torch.ones(1, 1), paths=(path,), repeat=True)
    verdict = report.verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "state")
    assert str(report).startswith("'planted' gives a Jacobian that lies in memory which isn't its own (property")
    words = "the Jacobian of 'weight' lies, in the second call, in the memory of the first, and changes with it"
    assert verdict.reason == words


def test_nor_give_the_very_mapping():
    """The tensors are others each time; who holds the first result has lost them."""
    given = {}

    def in_one_mapping(model, x, J):
        given.update(J)
        return given

    with planted(in_one_mapping) as path:
        verdict = check(nn.Linear(1, 1), torch.ones(1, 1), paths=(path,), properties=("determinism",)).verdicts[path]
    assert (verdict.status, verdict.kind) == ("disagrees", "state")
    assert verdict.reason == "the second call gave the mapping of the first, whose Jacobians are others now"
