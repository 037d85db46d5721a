"""The oracle says so where torch's own arithmetic in float64 is wrong, instead of judging by it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jaccheck import check
from jaccheck.enclosure.float64 import wrong_operation
from jaccheck.selftest.patches import kernels, wrapped

CPU = torch.device("cpu")
OPERATIONS = {"exp": "exp", "expm1": "expm1", "log1p": "log1p of a square", "erfc": "erfc", "mm": "matmul"}
OPERATIONS |= {"reciprocal": "reciprocal of exp", "bmm": "matmul of two pairs"}
IN_PLACE = ("neg", "exp", "log1p", "expm1", "reciprocal")


def spoiled(op, by):
    def kernel(t, *args):
        return by(getattr(torch.ops.aten, op).out(t, *args, out=t.new_empty(0)))

    return kernels(**{op: kernel})


def spoiled_in_place(op, by):
    def kernel(t):
        return t.copy_(by(getattr(torch.ops.aten, op).out(t, out=t.new_empty(0))))

    return kernels(**{f"{op}_": kernel})


def test_a_right_torch_is_not_doubted(device):
    assert wrong_operation(device) is None


@pytest.mark.parametrize("by", [lambda t: t * (1 + 2.0**-40), lambda t: t * torch.nan], ids=["factor", "nan"])
@pytest.mark.parametrize("op", OPERATIONS)
def test_a_wrong_operation_is_named(op, by):
    with spoiled(op, by):
        operation, got, right = wrong_operation(CPU)
        assert operation == OPERATIONS[op]
        assert got != right
    assert wrong_operation(CPU) is None


@pytest.mark.parametrize("op", IN_PLACE)
def test_so_is_one_in_place(op):
    with spoiled_in_place(op, lambda t: t * (1 + 2.0**-40)):
        operation, got, right = wrong_operation(CPU)
        assert operation.endswith("in place")
        assert got != right
    assert wrong_operation(CPU) is None


@pytest.mark.parametrize("op", OPERATIONS)
def test_then_no_path_is_accused_but_the_forward_pass(op):
    model, x = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()).double(), torch.ones(2, 3, dtype=torch.float64)
    with spoiled(op, lambda t: 1.5 * t):
        report = check(model, x)
    assert not report.ok
    assert OPERATIONS[op] in report.forward.layer
    assert {verdict.status for verdict in report.verdicts.values()} == {"vacuous"}
    assert check(model, x).ok


def test_a_method_that_is_replaced_is_seen():
    with wrapped((torch.Tensor, "__matmul__", lambda original: lambda a, b: 2 * original(a, b))):
        assert wrong_operation(CPU)[0] == "matmul"
