"""Every tensor that jaccheck makes says on which device, so that torch's default device is no matter."""

from __future__ import annotations

import ast
from importlib import import_module

import pytest
import torch
from torch import nn

import jaccheck
from jaccheck import Network
from jaccheck.strategies.targets import present
from tests import source

MAKERS = {
    *("arange", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn", "randperm"),
    *("scalar_tensor", "tensor", "zeros"),
}


def homeless(code: str) -> list[int]:
    """The lines on which ``torch.zeros`` and the like are called without a device."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "torch"
        and node.func.attr in MAKERS
        and "device" not in {keyword.arg for keyword in node.keywords}
    ]


@pytest.mark.parametrize("module", sorted(m for m in source.modules() if not m.startswith("jaccheck.selftest.faults")))
def test_each_new_tensor_has_its_device_named(module):
    assert homeless(source.modules()[module].read_text(encoding="utf-8")) == []


def test_one_without_is_seen():
    assert homeless("a = torch.zeros(3)\nb = torch.ones(3, device=a.device)\nc = a.new_zeros(2)") == [1]


@pytest.mark.parametrize("device", ["meta", *present()])
def test_the_default_device_is_no_matter(device):
    """On the meta device nothing has a value: who makes a tensor there can't read it."""
    model, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)), torch.linspace(-1, 1, 6).view(2, 3)
    network = Network.from_json('{"format": 1, "layers": [{"kind": "Linear", "width": 2}], "batch": 2}')
    import_module("torch._dynamo")  # torch does when asked for it, and can't where the default device holds no values
    before = torch.utils._device.CURRENT_DEVICE
    torch.set_default_device(device)
    try:
        reports = [jaccheck.check(*problem, paths="all", repeat=True) for problem in ((model, x), network.build())]
        assert torch.device(device) == torch.utils._device.CURRENT_DEVICE
    finally:
        torch.set_default_device(before)
    for report in reports:
        assert {verdict.status for verdict in report.verdicts.values()} == {"agrees"}, report


def test_every_cuda_device_is_drawn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert present() == ("cpu", "cuda:0", "cuda:1")
