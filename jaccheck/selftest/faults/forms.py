"""Wrong for models of some forms: residual sums, functions, images, a Switch, Dropout, frozen parts, equal sizes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._modules import Either, Functional, Sum
from jaccheck.paths import get
from jaccheck.selftest.fault import LOOP, Fault
from jaccheck.selftest.patches import wrapped
from jaccheck.selftest.wrong_paths import At, Jacobian, altered, made

Forward = Callable[..., Tensor]


def _otherwise(name: str, words: str, kind: type[nn.Module], forward: Callable[[Forward], Forward]) -> Fault:
    """The path goes through layers of a `kind` in another way than the model does."""

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        with wrapped((kind, "forward", forward)):
            return get(LOOP).jacobian(model, x)

    return made(name, words, lambda: compute, base=LOOP)


def _inner_skip_detached(right: Forward) -> Forward:
    within: list[Sum] = []

    def forward(self: Sum, x: Tensor) -> Tensor:
        within.append(self)
        try:
            result: Tensor = (x.detach() if len(within) > 1 else x) + self.inner(x)
            return result
        finally:
            within.pop()

    return forward


def _slope_ignored(right: Forward) -> Forward:
    return lambda self, x: F.leaky_relu(x) if self.name == "LeakyReLU" else right(self, x)


def _closed(right: Forward) -> Forward:
    return lambda self, x: torch.where(x >= 0, x, 0 * x) if self.name == "ReLU" else right(self, x)


def _from_behind(right: Forward) -> Forward:
    return lambda self, x: x.permute(0, *range(x.dim() - 1, 0, -1)).flatten(1)


def _drawn_again(right: Forward) -> Forward:
    def forward(self: nn.Dropout, x: Tensor) -> Tensor:
        if self.training and self.p:
            torch.rand(1, device=x.device)
        return right(self, x)

    return forward


def _nan(right: Forward) -> Forward:
    return lambda self, x: right(self, x) * (0 * torch.inf if self.training and self.p == 1 else 1)


def _beside_a_frozen_bias(at: At) -> bool:
    layer = at.model.get_submodule(at.name.rpartition(".")[0])
    return not at.bias and layer.bias is not None and not layer.bias.requires_grad


def _all_equal(at: At) -> bool:
    return at.N == at.C == at.shape[0] > 1


FAULTS = [
    _otherwise(
        "skip_detached",
        "in residual sums the gradient goes through the layers alone",
        Sum,
        lambda right: lambda self, x: x.detach() + self.inner(x),
    ),
    _otherwise("inner_skip_detached", "so it does in a residual sum within another", Sum, _inner_skip_detached),
    _otherwise("functional_slope_ignored", "F.leaky_relu has its usual slope", Functional, _slope_ignored),
    _otherwise("functional_relu_closed", "F.relu has the derivative 1 at 0", Functional, _closed),
    _otherwise("flattened_from_behind", "samples are flattened with their first axis last", nn.Flatten, _from_behind),
    _otherwise(
        "first_part_of_a_switch",
        "of a Switch it is always the first part",
        Either,
        lambda right: lambda self, x: self.parts[0](x),
    ),
    _otherwise("dropout_ignored", "Dropout is passed through", nn.Dropout, lambda right: lambda self, x: x),
    _otherwise("dropout_drawn_later", "Dropout's mask is drawn from later random numbers", nn.Dropout, _drawn_again),
    _otherwise("dropout_of_everything_nan", "NaN where Dropout drops everything", nn.Dropout, _nan),
    altered(
        "weight_beside_a_frozen_bias",
        "of a weight all is half where the bias is frozen",
        lambda j, at: j / 2,
        _beside_a_frozen_bias,
    ),
    altered(
        "all_sizes_equal",
        "N and C are swapped where they and the width are equal",
        lambda j, at: j.transpose(0, 1),
        _all_equal,
    ),
    altered(
        "bias_of_n_units",
        "of a bias of N units the axes are swapped where there is one output",
        lambda j, at: j.transpose(0, 2),
        lambda at: at.bias and at.C == 1 and at.N == at.shape[0] > 1,
    ),
]
