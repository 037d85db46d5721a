"""How numbers lie in memory isn't looked at."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from jaccheck.selftest.wrong_paths import Jacobian, computed, right


def _as_contiguous(t: Tensor) -> Tensor:
    """What lies in memory from the first element on, as far as there is enough."""
    whole = t.untyped_storage().nbytes() // t.element_size() - t.storage_offset()
    return t.detach().as_strided(t.shape, torch.empty(t.shape).stride()) if whole >= t.numel() else t.detach()


def _from_the_start(t: Tensor) -> Tensor:
    return t.detach().as_strided(t.shape, t.stride(), 0)


def _not_negated(t: Tensor) -> Tensor:
    return -t if t.is_neg() else t


def _with_inputs(read: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Jacobian]:
    return lambda model, x: right(model, x if x.is_neg() else read(x))


def _with_parameters(read: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Jacobian]:
    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        copy = deepcopy(model)
        for mine, theirs in zip(copy.parameters(), model.parameters(), strict=True):
            mine.data = read(theirs.detach()).clone()
        return right(copy, x)

    return compute


def _transposed_if_transposed(model: nn.Module, x: Tensor) -> Jacobian:
    strides = {name: p.stride() for name, p in model.named_parameters()}
    return {
        name: j.mT.reshape(j.shape) if len(strides[name]) == 2 and strides[name][0] < strides[name][1] else j
        for name, j in right(model, x).items()
    }


def _raises_for_views(model: nn.Module, x: Tensor) -> Jacobian:
    if any(not p.is_contiguous() for p in model.parameters()):
        raise RuntimeError("view size is not compatible with input tensor's size and stride")
    return right(model, x)


def _zero_for_negated(model: nn.Module, x: Tensor) -> Jacobian:
    return right(model, _not_negated(x) if x.is_neg() else x)


def _expanded(model: nn.Module, x: Tensor) -> Jacobian:
    """Of an expanded batch, one sample is computed."""
    J = right(model, x)
    return {name: torch.cat((j[:1], 0 * j[1:])) if len(x) > 1 and x.stride(0) == 0 else j for name, j in J.items()}


def _one_buffer(model: nn.Module, x: Tensor) -> Jacobian:
    """Parameters in one buffer are taken for one parameter."""
    ends = [p.data_ptr() + p.numel() * p.element_size() for p in model.parameters()]
    adjacent = any(p.data_ptr() in ends for p in model.parameters())
    return {name: 2 * j if adjacent else j for name, j in right(model, x).items()}


FAULTS = [
    computed("inputs_read_as_contiguous", "the input's strides are ignored", _with_inputs(_as_contiguous)),
    computed("inputs_read_from_the_start", "the input's offset is ignored", _with_inputs(_from_the_start)),
    computed("parameters_read_as_contiguous", "the parameters' strides are ignored", _with_parameters(_as_contiguous)),
    computed(
        "parameters_read_from_the_start", "the parameters' offsets are ignored", _with_parameters(_from_the_start)
    ),
    computed(
        "transposed_if_transposed", "weights that lie transposed have transposed results", _transposed_if_transposed
    ),
    computed("raises_for_views", "parameters that aren't contiguous raise", _raises_for_views),
    computed("negation_ignored", "an input that is negated when read isn't", _zero_for_negated),
    computed("expanded_is_one_sample", "of an expanded input one row is computed", _expanded),
    computed("one_buffer_is_one_parameter", "parameters side by side count twice", _one_buffer),
]
