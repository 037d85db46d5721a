"""Functions that are others one after the other: these are traced instead, as torch itself has them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F


def _normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: None = None) -> Any:
    return input / input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)


def _std(input: Any, *args: Any, **kwargs: Any) -> Any:
    """Whose variance has one rounding more than torch's."""
    return torch.var(input, *args, **kwargs).sqrt()


def _added(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Which torch rounds once, or twice as here."""
    return NotImplemented if alpha in (1, -1) else input + other * alpha


def _subtracted(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return NotImplemented if alpha in (1, -1) else input - other * alpha


def _addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """Whose products torch multiplies by a `value` in another order than these."""
    return input + tensor1 * tensor2 if value == 1 else NotImplemented


def _movedim(input: Any, source: Any, destination: Any) -> Any:
    axes = input.dim()
    sources, destinations = (
        [d % axes for d in ([given] if isinstance(given, int) else given)] for given in (source, destination)
    )
    order = [d for d in range(axes) if d not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return input.permute(order)


def _tile(input: Any, *dims: Any) -> Any:
    numbers = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    return input.repeat(*[1] * (input.dim() - len(numbers)), *numbers)


def _matmul(input: Any, other: Any) -> Any:
    """With a vector, which is a matrix of one column."""
    return (input @ other.unsqueeze(1)).squeeze(-1) if other.dim() == 1 and input.dim() > 1 else NotImplemented


def _padded(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Constants before and behind, from the last axis on; what is negative is cut off."""
    if mode != "constant":
        return NotImplemented
    for axis, before, behind in zip(range(-1, -len(pad), -1), pad[::2], pad[1::2], strict=False):
        start, length = max(0, -before), input.shape[axis]
        parts = [input.narrow(axis, start, length - start - max(0, -behind))]
        for number, place in ((before, 0), (behind, 2)):
            if number > 0:
                shape = [*input.shape]
                shape[axis] = number
                parts.insert(place, input.new_full(shape, value or 0.0))
        input = torch.cat(parts, axis)
    return input


def _einsum(equation: str, *operands: Any) -> Any:
    """A product with a matrix, of which one axis is summed with the value's last."""
    terms, _, result = equation.replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    if len(operands) != 2 or len(second) != 2:
        return NotImplemented
    rest, summed, one, other = first[:-1], first[-1], second[0], second[1]
    if one == summed and other not in first and result == rest + other:
        return torch.matmul(*operands)
    if other == summed and one not in first and result == rest + one:
        return F.linear(*operands)
    return NotImplemented


def _tensordot(a: Any, b: Any, dims: Any = 2, out: None = None) -> Any:
    return a @ b if dims == 1 and b.dim() == 2 else NotImplemented


COMPOSED: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((F.normalize,), _normalize),
    **dict.fromkeys((torch.std, "std"), _std),
    **dict.fromkeys((torch.add, "add"), _added),
    **dict.fromkeys((torch.sub, "sub", torch.subtract, "subtract"), _subtracted),
    **dict.fromkeys((torch.addcmul, "addcmul"), _addcmul),
    **dict.fromkeys((torch.movedim, "movedim", torch.moveaxis, "moveaxis"), _movedim),
    **dict.fromkeys((torch.tile, "tile"), _tile),
    **dict.fromkeys((operator.matmul, torch.matmul, "matmul"), _matmul),
    F.pad: _padded,
    torch.einsum: _einsum,
    torch.tensordot: _tensordot,
}
"""Functions and names of methods, and what they are; `NotImplemented` says that a call is none of these."""
