"""A model as a list of calls with rules: read off a Sequential, or traced by torch.fx."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx, nn

from jaccheck._attributes import Attributes, Namespace, kept
from jaccheck._chance import seeded
from jaccheck._errors import Unsupported
from jaccheck.enclosure.call import Call, found, replaced
from jaccheck.enclosure.in_place import in_place, used_elsewhere
from jaccheck.enclosure.moved import Moved, moved
from jaccheck.enclosure.rules import Wire, known_as
from jaccheck.enclosure.rules.given import first_sample, given, repeats
from jaccheck.enclosure.tracer import Tracer
from jaccheck.enclosure.turned import turned, with_layers_weight


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
    graph, tracer = _trace(model, x)
    reader = _Reader(model, tracer, len(x))
    for node in graph.nodes:
        yield from reader.calls(node)
    yield reader.meanings[node]  # of the output


def _trace(model: nn.Module, x: Tensor) -> tuple[fx.Graph, Tracer]:
    """The graph of `model`, which has its attributes back afterwards, and the tracer, which knows the nodes' values.

    Raises:
        Unsupported: torch.fx can't trace the model.
    """
    # of what the tracer keeps on the model, and of what the model's own forward keeps of the tracer's
    touched: list[Attributes | Namespace] = [*map(Attributes, model.modules()), *map(Namespace, _own_classes(model))]
    tracer = Tracer(x, is_known)
    try:
        # it draws, perhaps, and what is drawn later begins where it did; and what it makes is for autograd, too
        with kept(touched), warnings.catch_warnings(), seeded(0, x.device), torch.inference_mode(False):
            warnings.filterwarnings("ignore", message="For backward hooks to be called")  # they aren't, by a tracer
            return tracer.trace(model), tracer
    except Exception as error:
        raise Unsupported(f"no enclosure: torch.fx can't trace {type(model).__name__}: {error}") from error


def _own_classes(model: nn.Module) -> set[type]:
    """Those of its modules that aren't torch's, or Python's."""
    every = {kind for module in model.modules() for kind in type(module).__mro__}
    return {kind for kind in every if kind.__module__.partition(".")[0] not in ("torch", "builtins")}


class _Reader:
    """Reads the nodes of a graph as calls of functions that have rules."""

    def __init__(self, model: nn.Module, tracer: Tracer, samples: int) -> None:
        self._layers, self._tracer, self._samples = dict(model.named_modules()), tracer, samples
        self.meanings: dict[fx.Node, Any] = {}  # a Wire, several, or what doesn't depend on the input
        self._wires = 0  # besides that of the input

    def calls(self, node: fx.Node) -> list[Call]:
        """Those of the next node; each has the next wire."""
        calls, self.meanings[node] = self._read(node)
        self._wires += len(calls)
        return calls

    def _read(self, node: fx.Node) -> tuple[list[Call], Any]:
        """The calls that a node takes, and what it then stands for."""
        match node.op:
            case "placeholder":
                return [], Wire(0)
            case "get_attr":
                return [], self._tracer.values[node]
            case "output":
                (output,), _ = self._arguments(node)
                if not isinstance(output, Wire):
                    raise Unsupported("no enclosure for an output that isn't one tensor that depends on the input")
                return [], output
            case "call_module":
                return self._one(node, self._of_layer(node))
        args, kwargs = _usual(*self._arguments(node))
        target: Any = node.target
        if target in CASTS and _is_as_it_was(self._tracer, node):
            return [], args[0]
        if target in MADE and not found((args[1:], kwargs), Wire):
            with torch.inference_mode(False), torch.no_grad():
                return [], self._tracer.value(node)  # anew: that of the tracer may have been written to
        if target in SEVERAL and isinstance(args[0], Wire):
            calls = [*_pieces(target, args, kwargs, self._tracer.values[node])]
            return calls, tuple(Wire(self._wires + i) for i, _ in enumerate(calls, 1))
        if target is operator.getitem and isinstance(args[0], tuple):
            return [], args[0][args[1]]
        if node.op == "call_method" and target in LIKE:
            target, args, kwargs = LIKE[target], (args[0], *self._tracer.values[node].shape), {}
        if node.op == "call_method":
            return self._one(node, Call(target, _method(target), args, kwargs))
        return self._one(node, Call(getattr(target, "__name__", str(target)), target, args, kwargs))

    def _arguments(self, node: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments: tuple[tuple[Any, ...], dict[str, Any]]
        arguments = replaced((node.args, node.kwargs), fx.Node, self.meanings.__getitem__)
        return arguments

    def _of_layer(self, node: fx.Node) -> Call:
        name = str(node.target)
        layer = self._layers[name]
        if not is_known(layer):
            raise Unsupported(f"no enclosure for {type(layer).__name__} ({name!r})")
        return Call(name, layer, *self._arguments(node), layer)

    def _one(self, node: fx.Node, call: Call) -> tuple[list[Call], Any]:
        """The call itself, behind constants that it takes, unless it depends on nothing but these and parameters."""
        on = call.args[0] if call.args else None
        if in_place(call) and (
            not isinstance(on, Wire) or used_elsewhere(node.all_input_nodes[0], self._tracer.values)
        ):
            raise Unsupported(f"no enclosure for {call.name} in place on a constant or a value that is used elsewhere")
        if not call.wires:
            value = turned(call) or moved(call.name, call.run, call.args, call.kwargs)
            if value is not None:
                return [], value
        calls: list[Call] = []
        for t in _for_each_sample(call, self._samples, self._tracer.values[node]):
            one = t.through(first_sample) if isinstance(t, Moved) else first_sample(t)
            calls.append(Call("constant", given, (Wire(0), one), {}))
            call = _with_instead(call, t, Wire(self._wires + len(calls)))
        if not call.wires:
            return [], _constant(call)
        calls.append(with_layers_weight(call))
        return calls, Wire(self._wires + len(calls))


def _usual(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The first argument in its place, and numpy's name of an axis by torch's."""
    kwargs = {"dim" if name == "axis" else name: value for name, value in kwargs.items()}
    return ((kwargs.pop("input"),), kwargs) if not args and "input" in kwargs else (args, kwargs)


def _method(name: str) -> Callable[..., Any]:
    return lambda t, *args, **kwargs: getattr(t, name)(*args, **kwargs)


CASTS = ("to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda")


def _is_as_it_was(tracer: Tracer, node: fx.Node) -> bool:
    """Whether a cast leaves dtype and device alone."""
    now, before = tracer.values.get(node), tracer.values.get(node.args[0])  # type: ignore[arg-type]
    if not isinstance(now, Tensor) or not isinstance(before, Tensor):
        return False
    return now.dtype == before.dtype and now.device == before.device


MADE = (torch.zeros_like, torch.ones_like, torch.full_like, "new_zeros", "new_ones", "new_full")
"""What makes a constant of the shape of a value."""

LIKE = {"expand_as": "expand", "view_as": "view", "reshape_as": "reshape"}
"""Methods that take a shape from a value, and those that are told it."""

SLICED = (torch.chunk, torch.split, torch.tensor_split, "chunk", "split", "tensor_split")
SEVERAL = (*SLICED, torch.unbind, "unbind")
"""What gives several tensors: slices of one, or its places along an axis."""


def _pieces(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], values: Sequence[Tensor]) -> Iterator[Call]:
    """A call for each tensor that is given, of which `values` are examples."""
    if target in SLICED:
        dim = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) % values[0].dim()
        starts = accumulate((value.shape[dim] for value in values), initial=0)
        for start, value in zip(starts, values, strict=False):
            yield Call("narrow", torch.narrow, (args[0], dim, start, value.shape[dim]), {})
        return
    dim = (*args[1:], kwargs.get("dim", 0))[0] % (1 + values[0].dim())
    for place in range(len(values)):
        yield Call("getitem", operator.getitem, (args[0], (*[slice(None)] * dim, place)), {})


MATRICES = ("matmul", "mm", "linear", "addmm")
"""What takes matrices, of which no axis is the batch's."""


def _for_each_sample(call: Call, samples: int, result: Any) -> list[Tensor | Moved]:
    """Constants and moved parameters with a batch axis, along which they repeat, that have to be values of the graph.

    Those are the first argument of a call that has no value of the graph, and else parameters with as many axes.
    """
    candidates: list[Tensor | Moved] = [] if call.wires else list(call.args[:1])
    if call.name not in MATRICES and isinstance(result, Tensor):
        axes = result.dim() - (call.name == "stack")
        candidates += [t for t in found((call.args, call.kwargs), Moved) if t.source.dim() == axes]
    return [t for t in {id(t): t for t in candidates}.values() if _has_samples(t, samples)]


def _with_instead(call: Call, leaf: Tensor | Moved, wire: Wire) -> Call:
    args, kwargs = replaced((call.args, call.kwargs), (Tensor, Moved), lambda t: wire if t is leaf else t)
    return replace(call, args=args, kwargs=kwargs)


def _has_samples(t: Any, samples: int) -> bool:
    places = t.source if isinstance(t, Moved) else t
    if not isinstance(places, Tensor) or places.requires_grad:
        return False
    return places.dim() > 1 and len(places) == samples and repeats(places)


def _constant(call: Call) -> Any:
    """What a call without values of the graph gives: Python numbers, but no tensors, which would be rounded."""
    if found((call.args, call.kwargs), (Tensor, Moved)) or call.layer is not None:
        raise Unsupported(f"no enclosure for {call.name} of parameters or constants alone")
    return call.run(*call.args, **call.kwargs)
