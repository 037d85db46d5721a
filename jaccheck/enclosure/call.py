"""One call of a model's graph: what computes it in torch, and the rule that goes with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck.enclosure.moved import Moved, OfMoved
from jaccheck.enclosure.rules import Rule, Wire, layer_call, rules, takes


@dataclass(frozen=True, eq=False)
class Call:
    """One call: what computes it in torch, what it is applied to, and its rule's factory."""

    name: str  # of the layer, or of the function
    run: Callable[..., Any]  # on tensors
    args: tuple[Any, ...]  # Wires stand for values of the graph
    kwargs: dict[str, Any]
    layer: nn.Module | None = None

    def rule(self) -> Rule:
        """
        Raises:
            Unsupported: there is none, or none that holds here; the message names the layer or function.
        """
        if self.layer is not None:
            for name in ("weight", "bias"):
                if isinstance(vars(self.layer).get(name), Tensor):  # weight_norm, say, makes it of others
                    raise Unsupported(f"no enclosure for {self.name!r}, of which {name} is a tensor and no parameter")
            return layer_call(self.layer, (*self.args, *self.kwargs.values()))
        moved = found((self.args, self.kwargs), Moved)
        if moved:
            args, kwargs = replaced((self.args, self.kwargs), Moved, lambda m: m.value)
            return OfMoved(replace(self, args=args, kwargs=kwargs).rule(), {id(m.value): m for m in moved})
        replaced((self.args, self.kwargs), Tensor, self._refuse_history)
        factory = rules().get(self.run) or rules().get(self.name) or rules().get(self.name.removesuffix("_"))
        if factory is None:
            raise Unsupported(f"no enclosure for the function {self.name}")
        in_place = {"inplace": True} if self.name.endswith("_") and "inplace" in takes(factory) else {}
        try:
            return factory(*self.args, **self.kwargs, **in_place)
        except TypeError as error:
            raise Unsupported(f"no enclosure for the function {self.name} with these arguments: {error}") from error

    def _refuse_history(self, t: Tensor) -> Tensor:
        """What is made of parameters beforehand has a derivative that the calls don't show."""
        if t.grad_fn is not None:
            raise Unsupported(
                f"no enclosure for {self.name} of a tensor that is made of others before the forward pass"
            )
        return t

    def on(self, values: Sequence[Any]) -> Any:
        """What torch makes of the call for the wires' `values`."""

        def in_torch(leaf: Wire | Moved) -> Any:
            return values[leaf.index] if isinstance(leaf, Wire) else leaf.move(leaf.parameter)

        args, kwargs = replaced((self.args, self.kwargs), (Wire, Moved), in_torch)
        return self.run(*args, **kwargs)

    def bare(self, stand_in: Callable[[Tensor], Tensor]) -> Call:
        """The same call without anybody's hooks, and with `stand_in` of each parameter, buffer and constant."""
        args, kwargs = replaced((self.args, self.kwargs), Tensor, stand_in)
        args, kwargs = replaced((args, kwargs), Moved, lambda moved: moved.of(stand_in))
        if self.layer is None:
            return Call(self.name, self.run, args, kwargs)
        layer = copy(self.layer)
        for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            setattr(layer, hooks, OrderedDict())
        for own in ("_parameters", "_buffers"):
            setattr(layer, own, {name: t if t is None else stand_in(t) for name, t in getattr(layer, own).items()})
        return Call(self.name, layer, args, kwargs, layer)

    @cached_property
    def wires(self) -> tuple[Wire, ...]:
        """The values of the graph among the arguments, in their order."""
        if len(self.args) == 1 and isinstance(self.args[0], Wire) and not self.kwargs:
            return self.args  # as nearly always
        return tuple(found((self.args, self.kwargs), Wire))


def replaced(tree: Any, kind: type | tuple[type, ...], by: Callable[[Any], Any]) -> Any:
    """`tree` of tuples, lists, dicts and slices with each leaf of `kind` replaced."""
    if isinstance(tree, kind):
        return by(tree)
    if isinstance(tree, (tuple, list)) and not isinstance(tree, torch.Size):
        return type(tree)(replaced(leaf, kind, by) for leaf in tree)
    if isinstance(tree, dict):
        return {key: replaced(leaf, kind, by) for key, leaf in tree.items()}
    if isinstance(tree, slice):
        return slice(*(replaced(leaf, kind, by) for leaf in (tree.start, tree.stop, tree.step)))
    return tree


def found(tree: Any, kind: type | tuple[type, ...]) -> list[Any]:
    """The leaves of `kind`, in their order."""
    leaves: list[Any] = []
    replaced(tree, kind, leaves.append)
    return leaves
