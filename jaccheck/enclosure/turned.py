"""Parameters that are transposed: products with them are those that a linear layer has, and the other way round."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from jaccheck.enclosure.call import Call, found
from jaccheck.enclosure.moved import Move, Moved
from jaccheck.enclosure.rules.matmul import affine


class Turned(Moved):
    """A matrix transposed."""


def turned(call: Call) -> Turned | None:
    """What a call makes of a matrix, if it is its transpose."""
    first, *rest = call.args or (None,)
    if not isinstance(first, Tensor) or first.dim() != 2 or call.kwargs:
        return None
    plain = call.name in ("t", "adjoint") and not rest
    attribute = call.name == "getattr" and rest[0] in ("T", "mT", "H", "mH")
    swapped = call.name in ("transpose", "swapaxes", "swapdims") and {axis % 2 for axis in rest} == {0, 1}
    permuted = call.name == "permute" and rest in ([1, 0], [(1, 0)], [[1, 0]])
    return Turned(first, (Move(lambda t: t.mT),)) if plain or attribute or swapped or permuted else None


def with_layers_weight(call: Call) -> Call:
    """A product with a transposed matrix as `linear` has it, and the other way round."""
    if not found((call.args, call.kwargs), Turned):
        return call
    a, b, *rest = (*call.args, None, None)
    if call.name in ("matmul", "mm") and isinstance(b, Turned):
        return Call("linear", F.linear, (a, b.parameter), {})
    if call.name == "addmm" and isinstance(rest[0], Turned) and not call.kwargs:
        return Call("linear", F.linear, (b, rest[0].parameter, a), {})
    if call.name == "linear" and isinstance(b, Turned) and call.kwargs.keys() <= {"bias"}:
        bias = call.kwargs.get("bias", rest[0])
        if bias is None:
            return Call("matmul", torch.matmul, (a, b.parameter), {})
        return Call("linear", affine, (a, b.parameter, bias), {})
    return call
