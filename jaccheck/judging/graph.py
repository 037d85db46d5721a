"""What autograd keeps of a computation."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def nodes(f: Tensor) -> list[Any]:
    """All nodes of the graph behind `f`."""
    found = [f.grad_fn] if f.grad_fn is not None else []
    seen = set(found)
    for node in found:
        for after, _ in node.next_functions:
            if after is not None and after not in seen:
                seen.add(after)
                found.append(after)
    return found


def variables(f: Tensor) -> list[Tensor]:
    """Those leaves of it that gather gradients."""
    return [node.variable for node in nodes(f) if hasattr(node, "variable")]
