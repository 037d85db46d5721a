"""Calls that write to the memory of their input, which others may see."""

from __future__ import annotations

from torch import fx, nn

from jaccheck.enclosure.call import Call

OPERATORS = ("iadd", "isub", "imul", "itruediv", "ipow")
VIEWING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)
"""Layers whose value may lie in the memory of their input, and `VIEWS`: functions and methods."""
VIEWS = {*"view reshape flatten unflatten unsqueeze squeeze permute transpose swapaxes swapdims narrow".split()}  # noqa: SIM905
VIEWS |= {*"getitem chunk split tensor_split unbind expand contiguous detach dropout pos positive".split()}  # noqa: SIM905


def in_place(call: Call) -> bool:
    inplace = getattr(call.layer, "inplace", False) or call.kwargs.get("inplace", False)
    return bool(inplace) or call.name.endswith("_") or call.name in OPERATORS


def used_elsewhere(node: fx.Node, layers: dict[str, nn.Module]) -> bool:
    """Whether anybody else sees what is written to the value of `node`, or to that of which it may be a view."""
    while len(node.users) == 1 and node.op != "placeholder":
        if node.op == "call_module":
            a_view = isinstance(layers[str(node.target)], VIEWING)
        else:
            a_view = getattr(node.target, "__name__", node.target) in VIEWS
        if not a_view:
            return False
        node = node.args[0]  # type: ignore[assignment]
    return len(node.users) > 1
