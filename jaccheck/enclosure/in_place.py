"""Calls that write to the memory of their input, which others may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx

from jaccheck.enclosure.call import Call, found

OPERATORS = ("iadd", "isub", "imul", "itruediv", "ipow")


def in_place(call: Call) -> bool:
    inplace = getattr(call.layer, "inplace", False) or call.kwargs.get("inplace", False)
    return bool(inplace) or call.name.endswith("_") or call.name in OPERATORS


def used_elsewhere(node: fx.Node, values: Mapping[fx.Node, Any]) -> bool:
    """Whether anybody else sees what is written to the value of `node`: to it, or to that of which it is a view.

    Views are told by their memory, in an example of each node's value.
    """
    while len(node.users) == 1:
        memory = _memory(values[node])
        owner = next((other for other in node.all_input_nodes if memory & _memory(values[other])), None)
        if owner is None:
            return False
        node = owner
    return len(node.users) > 1


def _memory(value: Any) -> set[int]:
    """Where its tensors lie, but for those without elements."""
    return {t.untyped_storage().data_ptr() for t in found(value, Tensor) if t.numel()}
