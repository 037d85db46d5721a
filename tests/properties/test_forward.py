"""A wrong forward pass is seen at arguments and sizes that the model doesn't have, and no path is accused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from jaccheck import check
from jaccheck._finding import FORWARD, Failure, failures
from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck.defects import known
from jaccheck.defects.register import register
from jaccheck.reproducer import reproducer, run

PATHS = ("autograd", "batch_grad", "vmap_jacfwd")


def wrong_above_the_threshold(original):
    def forward(self, z):
        y = original(self, z)
        return torch.where(z > self.threshold, 1.01 * y, y)

    return forward


def wrong_of_65(original):
    return lambda self, x: 2 * original(self, x) if self.in_features == 65 else original(self, x)


PLACES = {
    "every_input": (nn.Softplus, wrong_above_the_threshold, "Softplus("),
    "sizes": (nn.Linear, wrong_of_65, "between layers of"),
}


@pytest.mark.parametrize("law", ["every_input", pytest.param("sizes", marks=pytest.mark.long)])
@pytest.mark.parametrize("path", PATHS)
def test_it_is_a_finding_of_its_own_that_says_where_and_has_a_script(law, path, monkeypatch):
    where, wrong, words = PLACES[law]
    monkeypatch.setattr(where, "forward", wrong(where.forward))
    model, x = nn.Sequential(nn.Linear(2, 3), nn.Softplus(), nn.Linear(3, 2)), torch.ones(2, 2)
    report = check(model, x, paths=(path,), properties=(law,))
    assert not report.ok
    assert report.verdicts[path].status != "disagrees"
    assert report.forward.property == law
    assert words in report.forward.variant
    assert f"{law}, on another model: {report.forward.variant}" in str(report)
    assert list(failures(report)) == [Failure(FORWARD, law, "value")]
    if law == "every_input":
        assert float(report.forward.variant.rpartition(" at ")[2]) > 1
    script = reproducer(model, x, report)
    assert run(script)[0] == 1
    monkeypatch.undo()
    assert run(script)[0] == 0
    assert check(model, x, paths=(path,), properties=(law,)).forward is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_known_defect_is_known_at_an_argument_too(dtype, monkeypatch):
    """Softshrink of NaN is 0 in old releases: here in this one."""
    original = nn.Softshrink.forward
    monkeypatch.setattr(
        nn.Softshrink, "forward", lambda self, z: original(self, z).nan_to_num(0, torch.inf, -torch.inf)
    )
    defects = tuple(replace(defect, versions=">=2") for defect in register())
    monkeypatch.setattr(known, "register", lambda: defects)
    network = Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}, {"kind": "Softshrink"}]}')
    found = known.looked_up(replace(network, dtype=dtype), ("autograd",), ("every_input",))
    assert list(found.failures) == [Failure(FORWARD, "every_input", "value")]
    assert [defect.id for one in found.known.values() for defect in one] == ["softshrink-of-nan"]


def test_a_known_defect_of_a_path_stays_known_beside_it(monkeypatch):
    """SqrtGGNExact takes ReLU' at NaN as 0; Tanh is wrong, and no path is judged by what comes of that."""
    original = nn.Tanh.forward
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, z: original(self, z).bfloat16().to(z.dtype))
    network = Network((Linear(2), Activation("ReLU"), Linear(2), Activation("Tanh")))
    found = known.looked_up(network, ("vmap_jacrev", "sqrt_ggn_exact"), ("every_input",))
    path = Failure("sqrt_ggn_exact", "every_input", "value")
    assert set(found.failures) == {path, Failure(FORWARD, "every_input", "value")}
    assert {failure: [defect.id for defect in one] for failure, one in found.known.items()} == {
        path: ["sqrt-ggn-relu-nan"]
    }


def test_no_path_is_accused_at_a_kink_where_other_arguments_have_wrong_values(monkeypatch):
    """Without the bias there is no slope, and at 0 its value is right."""
    forward = nn.Linear.forward
    monkeypatch.setattr(
        nn.Linear, "forward", lambda self, x: forward(self, x) - (0 if self.bias is None else self.bias)
    )
    model, x = nn.Sequential(nn.Linear(2, 3, bias=False), nn.LeakyReLU(-1.0)).double(), torch.ones(1, 2).double()
    report = check(model, x, paths=("autograd",), properties=("every_input",))
    assert report.forward.property == "every_input"
    assert report.verdicts["autograd"].status == "vacuous"
