"""Transposed, swapped, permuted: the right numbers at the wrong place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from jaccheck.selftest.wrong_paths import At, Jacobian, altered, computed, made, right


def _square(at: At) -> bool:
    return len(at.shape) == 2 and at.shape[0] == at.shape[1]


def _weight(at: At) -> bool:
    return len(at.shape) == 2


def _swapped(j: Tensor, dim: int, a: int, b: int) -> Tensor:
    order = list(range(j.shape[dim]))
    order[a], order[b] = order[b], order[a]
    return j.index_select(dim, torch.tensor(order, device=j.device))


def _misread(j: Tensor, at: At) -> Tensor:
    """``[O, I]`` numbers written as ``[I, O]``."""
    return j.mT.contiguous().view(j.shape)


def _swapped_layers(J: Jacobian) -> Jacobian:
    """The first two parameters of the same shape have each other's."""
    by_shape: dict[torch.Size, str] = {}
    for name, j in J.items():
        if j.shape in by_shape:
            other = by_shape[j.shape]
            return {**J, name: J[other], other: j}
        by_shape[j.shape] = name
    return J


def _by_calls(model: nn.Module, x: Tensor) -> Jacobian:
    """To the names in their order goes what the layers have in the order of their calls."""
    called: dict[str, None] = {}

    def noting(name: str) -> Callable[..., None]:
        return lambda module, *_: called.update(dict.fromkeys(f"{name}.{p}" for p in module._parameters))

    handles = [module.register_forward_hook(noting(name)) for name, module in model.named_modules()]
    try:
        J = right(model, x)
    finally:
        for handle in handles:
            handle.remove()
    results = (J[name] for name in called if name in J)
    return {name: next(results) if name in called else j for name, j in J.items()}


FAULTS = [
    altered("transposed_if_square", "square weights are transposed", lambda j, at: j.mT, _square),
    altered("weights_misread", "weights are written transposed into the same shape", _misread, _weight),
    altered("samples_reversed", "samples are in reverse order", lambda j, at: j.flip(0)),
    altered("classes_reversed", "classes are in reverse order", lambda j, at: j.flip(1)),
    altered("units_reversed", "units are in reverse order", lambda j, at: j.flip(2)),
    altered("inputs_reversed", "inputs are in reverse order", lambda j, at: j.flip(-1), _weight),
    altered(
        "samples_and_classes_swapped", "[C, N] where N = C", lambda j, at: j.transpose(0, 1), lambda at: at.N == at.C
    ),
    altered(
        "samples_and_classes_misread", "[C, N] written into [N, C]", lambda j, at: j.transpose(0, 1).reshape(j.shape)
    ),
    altered("samples_rolled", "each sample has the row of its neighbour", lambda j, at: j.roll(1, 0)),
    altered("classes_rolled", "classes are off by one", lambda j, at: j.roll(1, 1)),
    altered("units_rolled", "units are off by one", lambda j, at: j.roll(1, 2)),
    altered("inputs_rolled", "inputs are off by one", lambda j, at: j.roll(-1, -1), _weight),
    altered(
        "first_samples_swapped", "samples 0 and 1 are swapped", lambda j, at: _swapped(j, 0, 0, 1), lambda at: at.N > 1
    ),
    altered(
        "last_classes_swapped",
        "the last two classes are swapped",
        lambda j, at: _swapped(j, 1, -2, -1),
        lambda at: at.C > 1,
    ),
    altered(
        "two_units_swapped",
        "two units of the last layer are swapped",
        lambda j, at: _swapped(j, 2, 0, 1),
        lambda at: at.last and at.shape[0] > 1,
    ),
    altered(
        "ties_of_classes",
        "beyond the second class all is that of the second",
        lambda j, at: torch.cat((j[:, :2], j[:, 1:2].expand_as(j[:, 2:])), 1),
    ),
    made(
        "two_layers_swapped",
        "two parameters of one shape have each other's",
        lambda: lambda model, x: _swapped_layers(right(model, x)),
    ),
    computed("by_order_of_calls", "results go by the order of the layers' calls instead of by name", _by_calls),
    altered(
        "sorted_by_sample",
        "samples are sorted by their first number",
        lambda j, at: j[at.x.detach().flatten(1)[:, 0].argsort()],
        lambda at: at.x.numel() > 0,
    ),
    altered(
        "classes_shuffled_if_many",
        "from 8 classes on they are interleaved",
        lambda j, at: torch.cat((j[:, ::2], j[:, 1::2]), 1),
        lambda at: at.C >= 8,
    ),
    altered(
        "samples_shuffled_if_many",
        "from 8 samples on they are interleaved",
        lambda j, at: torch.cat((j[::2], j[1::2])),
        lambda at: at.N >= 8,
    ),
]
