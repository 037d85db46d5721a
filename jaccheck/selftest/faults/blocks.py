"""Wrong where a model has several blocks of a kind, one in another, or parts of one frozen."""

from __future__ import annotations

from torch import Tensor, nn

from jaccheck._modules import Sum
from jaccheck.paths import get
from jaccheck.selftest.fault import LOOP
from jaccheck.selftest.wrong_paths import At, Jacobian, altered, made


def _places(at: At, kind: type[nn.Module]) -> list[str]:
    return [f"{name}." for name, module in at.model.named_modules() if type(module) is kind]


def _in_the_second_sum(at: At) -> bool:
    sums = _places(at, Sum)
    return len(sums) > 1 and at.name.startswith(sums[1])


def _in_two_sums(at: At) -> bool:
    return sum(at.name.startswith(place) for place in _places(at, Sum)) > 1


def _uses(at: At) -> int:
    """How often the parameter's layer stands in the model."""
    layer = at.model.get_submodule(at.name.rpartition(".")[0])
    return sum(module is layer for _, module in at.model.named_modules(remove_duplicate=False))


def _beside_a_frozen_weight(at: At) -> bool:
    layer = at.model.get_submodule(at.name.rpartition(".")[0])
    return at.bias and isinstance(layer, nn.Linear) and not layer.weight.requires_grad


def _with_two_dropouts(model: nn.Module, x: Tensor) -> Jacobian:
    active = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.training and module.p]
    J = get(LOOP).jacobian(model, x)  # torch.func draws no masks
    return {name: j / 2 for name, j in J.items()} if len(active) > 1 else J


FAULTS = [
    altered("second_sum", "in the second residual sum all is half", lambda j, at: j / 2, _in_the_second_sum),
    altered("sum_in_a_sum", "in a residual sum within another all is half", lambda j, at: j / 2, _in_two_sums),
    altered(
        "used_four_times",
        "of a layer used more than three times it is half",
        lambda j, at: j / 2,
        lambda at: _uses(at) > 3,
    ),
    altered(
        "used_again_with_a_frozen_weight",
        "of a layer used again and with a frozen weight the bias is half",
        lambda j, at: j / 2,
        lambda at: _uses(at) > 1 and _beside_a_frozen_weight(at),
    ),
    made("second_dropout", "with two active Dropouts all is half", lambda: _with_two_dropouts, base=LOOP),
]
