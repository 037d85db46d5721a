"""A model as a list of calls with rules: read off a Sequential, or traced by torch.fx."""

from __future__ import annotations

import operator
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from jaccheck._chance import seeded
from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules import Rule, Wire, known_as, layer_call, rules, takes
from jaccheck.enclosure.tracer import Tracer


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
            Unsupported: there is none; the message names the layer or function.
        """
        if self.layer is not None:
            return layer_call(self.layer, (*self.args, *self.kwargs.values()))
        factory = rules().get(self.run) or rules().get(self.name) or rules().get(self.name.removesuffix("_"))
        if factory is None:
            raise Unsupported(f"no enclosure for the function {self.name}")
        in_place = {"inplace": True} if self.name.endswith("_") and "inplace" in takes(factory) else {}
        try:
            return factory(*self.args, **self.kwargs, **in_place)
        except TypeError as error:
            raise Unsupported(f"no enclosure for the function {self.name} with these arguments: {error}") from error

    def on(self, values: Sequence[Any]) -> Any:
        """What torch makes of the call for the wires' `values`."""
        args, kwargs = _replaced((self.args, self.kwargs), Wire, lambda wire: values[wire.index])
        return self.run(*args, **kwargs)

    def bare(self, stand_in: Callable[[Tensor], Tensor]) -> Call:
        """The same call without anybody's hooks, and with `stand_in` of each parameter, buffer and constant."""
        args, kwargs = _replaced((self.args, self.kwargs), Tensor, stand_in)
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
        found: list[Wire] = []
        _replaced((self.args, self.kwargs), Wire, lambda wire: found.append(wire))
        return tuple(found)


def in_a_row(model: nn.Module) -> list[Call | Wire] | None:
    """The calls of `model` as `traced` gives them, if it is nothing but layers with rules, one after the other.

    Nothing of the model's own is run for that, and it takes a hundredth of the time of tracing.
    """
    layers = list(_flattened(model))
    if not all(is_known(layer) for _, layer in layers):
        return None
    return [
        *(Call(name, layer, (Wire(index),), {}, layer) for index, (name, layer) in enumerate(layers)),
        Wire(len(layers)),
    ]


def is_known(layer: nn.Module) -> bool:
    """Whether the rule of the layer's class speaks of this very layer."""
    return known_as(type(layer)) is not None and "forward" not in vars(layer)


def _flattened(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    if type(model) is not nn.Sequential:
        yield prefix or "model", model
        return
    for name, child in model._modules.items():  # named_children() leaves out the second use of a layer
        yield from _flattened(child, f"{prefix}.{name}" if prefix else name)


def traced(model: nn.Module, x: Tensor) -> Iterator[Call | Wire]:
    """The calls of `model` at `x` in order, numbered from wire 1; wire 0 is the input. Last comes the output's wire.

    Raises:
        Unsupported: a layer has no rule, or torch.fx can't trace the model.
    """
    attributes = [(vars(module), vars(module).copy()) for module in model.modules()]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="For backward hooks to be called")  # they aren't, by a tracer
            tracer = Tracer(x, is_known)
            with seeded(0, x.device):  # it draws, perhaps, and what is drawn later begins where it did
                graph = tracer.trace(model)
        constants = {name: value for name, value in vars(model).items() if name.startswith("_tensor_constant")}
    except Exception as error:
        raise Unsupported(f"no enclosure: torch.fx can't trace {type(model).__name__}: {error}") from error
    finally:  # what the tracer keeps on the model, and what the model's own forward keeps of the tracer's
        for now, before in attributes:
            for name in now.keys() - before.keys():
                del now[name]
            now.update(before)
    values: dict[fx.Node, Any] = {}
    layers = dict(model.named_modules())
    index = 0
    for node in graph.nodes:
        if node.op == "placeholder":
            values[node] = Wire(0)
            continue
        if node.op == "get_attr":
            values[node] = constants[node.target] if node.target in constants else _attribute(model, node.target)
            continue
        args = _replaced(node.args, fx.Node, values.__getitem__)
        kwargs = _replaced(node.kwargs, fx.Node, values.__getitem__)
        if node.op in ("call_function", "call_method"):
            args, kwargs = _usual(args, kwargs)
        if node.op == "output":
            if not isinstance(args[0], Wire):
                raise Unsupported("no enclosure for an output that isn't one tensor that depends on the input")
            yield args[0]
            return
        if node.op == "call_module":
            layer = layers[node.target]
            if not is_known(layer):
                raise Unsupported(f"no enclosure for {type(layer).__name__} ({node.target!r})")
            call = Call(node.target, layer, args, kwargs, layer)
        elif node.target in CASTS and _is_as_it_was(tracer, node):
            values[node] = args[0]
            continue
        elif node.target in PARTS and isinstance(args[0], Wire):
            parts = _parts(args, kwargs, tracer.values[node])
            values[node] = tuple(Wire(index + 1 + i) for i in range(len(parts)))
            index += len(parts)
            yield from parts
            continue
        elif node.target is operator.getitem and isinstance(args[0], tuple):
            values[node] = args[0][args[1]]  # of the parts
            continue
        elif node.op == "call_method":
            call = Call(node.target, _method(node.target), args, kwargs)
        else:
            call = Call(getattr(node.target, "__name__", str(node.target)), node.target, args, kwargs)
        if not call.wires:
            values[node] = _turned(call) or _constant(call)
            continue
        call = _with_layers_weight(call)
        if _in_place(call) and _used_elsewhere(node.args[0], layers):
            raise Unsupported(f"no enclosure for {call.name} in place on a value that is used elsewhere")
        index += 1
        values[node] = Wire(index)
        yield call


def _usual(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The first argument in its place, and numpy's name of an axis by torch's."""
    kwargs = {"dim" if name == "axis" else name: value for name, value in kwargs.items()}
    return ((kwargs.pop("input"),), kwargs) if not args and "input" in kwargs else (args, kwargs)


def _attribute(model: nn.Module, target: str) -> Any:
    value: Any = model
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _method(name: str) -> Callable[..., Any]:
    return lambda t, *args, **kwargs: getattr(t, name)(*args, **kwargs)


CASTS = ("to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda")


def _is_as_it_was(tracer: Tracer, node: fx.Node) -> bool:
    """Whether a cast leaves dtype and device alone."""
    now, before = tracer.values.get(node), tracer.values.get(node.args[0])  # type: ignore[arg-type]
    if not isinstance(now, Tensor) or not isinstance(before, Tensor):
        return False
    return now.dtype == before.dtype and now.device == before.device


PARTS = (torch.chunk, torch.split, torch.tensor_split, "chunk", "split", "tensor_split")
"""What gives several tensors: slices of one."""


def _parts(args: tuple[Any, ...], kwargs: dict[str, Any], pieces: Sequence[Tensor]) -> list[Call]:
    """A slice for each tensor that the call gives."""
    dim = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % pieces[0].dim()
    starts = accumulate((piece.shape[dim] for piece in pieces), initial=0)
    return [
        Call("narrow", torch.narrow, (args[0], dim, start, piece.shape[dim]), {})
        for start, piece in zip(starts, pieces, strict=False)
    ]


@dataclass(frozen=True, eq=False)
class Turned:
    """A parameter or constant transposed, which only products of matrices can use."""

    matrix: Tensor


def _turned(call: Call) -> Turned | None:
    """What a call makes of a matrix, if it is its transpose."""
    first, *rest = call.args or (None,)
    if not isinstance(first, Tensor) or first.dim() != 2 or call.kwargs:
        return None
    plain = call.name in ("t", "adjoint") and not rest
    attribute = call.name == "getattr" and rest[0] in ("T", "mT", "H", "mH")
    swapped = call.name in ("transpose", "swapaxes", "swapdims") and {axis % 2 for axis in rest} == {0, 1}
    permuted = call.name == "permute" and rest in ([1, 0], [(1, 0)], [[1, 0]])
    return Turned(first) if plain or attribute or swapped or permuted else None


def _with_layers_weight(call: Call) -> Call:
    """A product with a transposed matrix as `linear` has it, and the other way round."""
    found: list[Turned] = []
    _replaced((call.args, call.kwargs), Turned, lambda turned: found.append(turned))
    if not found:
        return call
    a, b, *rest = (*call.args, None, None)
    if call.name in ("matmul", "mm") and isinstance(b, Turned):
        return Call("linear", F.linear, (a, b.matrix), {})
    if call.name == "addmm" and isinstance(rest[0], Turned) and not call.kwargs:
        return Call("linear", F.linear, (b, rest[0].matrix, a), {})
    if call.name == "linear" and isinstance(b, Turned) and rest[0] is None and not call.kwargs:
        return Call("matmul", torch.matmul, (a, b.matrix), {})
    raise Unsupported(f"no enclosure for the function {call.name} of a transposed parameter")


def _constant(call: Call) -> Any:
    """What a call without values of the graph gives: Python numbers, but no tensors, which would be rounded."""
    found: list[Any] = []
    for kind in (Tensor, Turned):
        _replaced((call.args, call.kwargs), kind, lambda t: found.append(t))
    if found or call.layer is not None:
        raise Unsupported(f"no enclosure for {call.name} of parameters or constants alone")
    return call.run(*call.args, **call.kwargs)


def _in_place(call: Call) -> bool:
    inplace = getattr(call.layer, "inplace", False) or call.kwargs.get("inplace", False)
    return bool(inplace) or call.name.endswith("_") or call.name in ("iadd", "isub", "imul", "itruediv")


def _used_elsewhere(node: fx.Node, layers: dict[str, nn.Module]) -> bool:
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


VIEWING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)
"""Layers whose value may lie in the memory of their input, and `VIEWS`: functions and methods."""
VIEWS = {*"view reshape flatten unflatten unsqueeze squeeze permute transpose swapaxes swapdims narrow".split()}  # noqa: SIM905
VIEWS |= {*"getitem chunk split tensor_split contiguous detach dropout pos positive".split()}  # noqa: SIM905


def _replaced(tree: Any, kind: type, replace: Callable[[Any], Any]) -> Any:
    """`tree` of tuples, lists, dicts and slices with each leaf of `kind` replaced."""
    if isinstance(tree, kind):
        return replace(tree)
    if isinstance(tree, (tuple, list)) and not isinstance(tree, torch.Size):
        return type(tree)(_replaced(leaf, kind, replace) for leaf in tree)
    if isinstance(tree, dict):
        return {key: _replaced(leaf, kind, replace) for key, leaf in tree.items()}
    if isinstance(tree, slice):
        return slice(*(_replaced(leaf, kind, replace) for leaf in (tree.start, tree.stop, tree.step)))
    return tree
