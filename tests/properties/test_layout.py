"""Other layouts hold the same numbers, in a copy of the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jaccheck
from jaccheck import check, register_path
from jaccheck._problem import admit
from jaccheck.paths import unregister_path
from jaccheck.properties._variants import Variant
from jaccheck.properties.layout import Layout, negated_when_read, shifted, strided, transposed, views_of_one_buffer

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("arrange", [transposed, strided, shifted, negated_when_read])
@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 3, 4), (2, 3, 4, 5), (0, 3)])
def test_the_numbers_are_the_same(arrange, shape, dtype):
    t = torch.randn(shape, dtype=torch.float64).to(dtype)
    assert torch.equal(arrange(t), t)


def test_the_layouts_are_what_they_are_called():
    t = torch.randn(3, 4)
    assert transposed(t).stride() == (1, 3)
    assert strided(t).stride() == (8, 2)
    assert shifted(t).storage_offset() == 1
    assert negated_when_read(t).is_neg()
    assert negated_when_read(t).stride() == (8, 2)
    assert transposed(torch.randn(2, 3, 4, 5)).is_contiguous(memory_format=torch.channels_last)


def test_the_parameters_lie_in_one_buffer():
    parameters = [torch.randn(2, 3), torch.randn(2), torch.randn(())]
    views = views_of_one_buffer(parameters)
    assert len({view.untyped_storage().data_ptr() for view in views}) == 1
    assert all(torch.equal(view, p) for view, p in zip(views, parameters, strict=True))


def test_the_users_model_is_left_where_it_is():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    problem = admit(model, torch.randn(3, 2))
    places = [p.data_ptr() for p in model.parameters()]
    check(model, problem.x, paths="all", properties=("layout",))
    assert [p.data_ptr() for p in model.parameters()] == places
    assert problem.before.changes() == []


def test_all_layouts_are_tried():
    variants = list(Layout().variants(admit(nn.Linear(2, 3), torch.randn(3, 2))))
    assert len(variants) == 5
    assert all(isinstance(variant, Variant) for variant in variants)
    problems = [take.problem for variant in variants for take in variant.takes if take.problem is not None]
    assert any(problem.model.weight.stride() == (0, 1) for problem in problems)
    assert any(problem.x.stride(0) == 0 for problem in problems)


class Single(nn.Linear):
    def __deepcopy__(self, memo):
        raise TypeError("there is but one")


def test_a_model_that_can_not_be_copied_is_tried_with_other_inputs_alone():
    found = list(Layout().variants(admit(Single(2, 3), torch.randn(3, 2))))
    assert [isinstance(variant, Variant) for variant in found] == [False, False, False, True, False]
    assert "the model can't be copied: there is but one" in str(found[0])


def test_what_a_path_changes_in_one_layout_alone_is_its_fault():
    class Contiguous:
        name = "contiguous"

        def jacobian(self, model, x):
            for p in model.parameters():
                p.data = p.data.contiguous()
            return jaccheck.jacobian(model, x)

    register_path(Contiguous())
    try:
        report = check(nn.Linear(3, 2), torch.ones(2, 3), paths=("contiguous",), properties=("state", "layout"))
    finally:
        unregister_path("contiguous")
    verdict = report.verdicts["contiguous"]
    assert (verdict.property, verdict.kind) == ("layout", "state"), report
