"""torch.fx, with an example at hand: what a model asks of shapes is answered, so that it may branch on them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from jaccheck.enclosure.composed import COMPOSED

ANSWERED = ("shape", "ndim", "dtype", "device", "is_cuda", "size", "dim", "numel", "is_floating_point", "is_complex")
"""Attributes and methods of a tensor that tell the same whatever its numbers are, and whoever asks."""


class Tracer(fx.Tracer):
    """Traces a model for inputs like `x`; layers that `is_leaf` says are one call, as torch's own are.

    Beside each node stands what it computes of `x`, of which shapes are taken, and never numbers.
    """

    def __init__(self, x: Tensor, is_leaf: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self.values: dict[fx.Node, Any] = {}
        self._x, self._is_leaf = x, is_leaf
        self._computing = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if type(m) is nn.Sequential:
            return False
        return self._is_leaf(m) or (type(m).__module__.startswith("torch.nn.modules.") and "forward" not in vars(m))

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """The model itself and one input, whatever other arguments with defaults its forward takes."""
        _, name, *_ = [*inspect.signature(root_fn).parameters, "x"]
        return root_fn, [self.root, self.create_proxy("placeholder", name, (), {})]

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self._computing = True
        try:
            if node.op != "output":
                with torch.no_grad():
                    self.values[node] = self.value(node)
        finally:
            self._computing = False
        return node

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **others: Any) -> fx.Proxy:
        if kind in ("call_function", "call_method") and target in COMPOSED:
            args = tuple(self.proxy(arg.node) if isinstance(arg, fx.proxy.Attribute) else arg for arg in args)  # as W.T
            composed: Any = COMPOSED[target](*args, **kwargs)
            if composed is not NotImplemented:
                return composed  # type: ignore[no-any-return]
        return super().create_proxy(kind, target, args, kwargs, *rest, **others)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return forward(*args, **kwargs) if self._computing else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def value(self, node: fx.Node) -> Any:
        """What `node` computes of the values of others."""
        args: Any = fx.node.map_arg(node.args, self.values.__getitem__)
        kwargs: Any = fx.node.map_arg(node.kwargs, self.values.__getitem__)
        match node.op:
            case "placeholder":
                return self._x.detach().clone()
            case "get_attr":
                return attrgetter(str(node.target))(self.root)
            case "call_module":
                return self.root.get_submodule(str(node.target))(*args, **kwargs)
            case "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Known(node, self)


class _Known(fx.Proxy):
    """A value of the graph, of which everything but its numbers is known."""

    tracer: Tracer

    @property
    def _known(self) -> Any:
        return self.tracer.values[self.node]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name) if name in ANSWERED else super().__getattr__(name)

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self._known)))  # type: ignore[index]
