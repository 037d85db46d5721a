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

from jaccheck._chance import seeded
from jaccheck._errors import Unsupported
from jaccheck.enclosure.call import Call, found, replaced
from jaccheck.enclosure.in_place import in_place, used_elsewhere
from jaccheck.enclosure.moved import Moved, moved
from jaccheck.enclosure.rules import Wire, known_as
from jaccheck.enclosure.rules.given import given, of_one_sample, repeats
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
    attributes = [(vars(module), vars(module).copy()) for module in model.modules()]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="For backward hooks to be called")  # they aren't, by a tracer
            tracer = Tracer(x, is_known)
            # it draws, perhaps, and what is drawn later begins where it did; and what it makes is for autograd, too
            with seeded(0, x.device), torch.inference_mode(False):
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
        args = replaced(node.args, fx.Node, values.__getitem__)
        kwargs = replaced(node.kwargs, fx.Node, values.__getitem__)
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
        elif node.target in MADE and not found((args[1:], kwargs), Wire):
            with torch.inference_mode(False), torch.no_grad():
                values[node] = tracer.value(node)  # anew: that of the tracer may have been written to
            continue
        elif node.target in PARTS and isinstance(args[0], Wire):
            parts = _parts(args, kwargs, tracer.values[node])
            values[node] = tuple(Wire(index + 1 + i) for i in range(len(parts)))
            index += len(parts)
            yield from parts
            continue
        elif node.target in (torch.unbind, "unbind") and isinstance(args[0], Wire):
            dim, number = (*args[1:], kwargs.get("dim", 0))[0], len(tracer.values[node])
            values[node] = tuple(Wire(index + 1 + i) for i in range(number))
            index += number
            yield from _places(args[0], dim % (1 + tracer.values[node][0].dim()), number)
            continue
        elif node.target is operator.getitem and isinstance(args[0], tuple):
            values[node] = args[0][args[1]]  # of the parts
            continue
        elif node.op == "call_method" and node.target in LIKE:
            name = LIKE[node.target]
            call = Call(name, _method(name), (args[0], *tracer.values[node].shape), {})
        elif node.op == "call_method":
            call = Call(node.target, _method(node.target), args, kwargs)
        else:
            call = Call(getattr(node.target, "__name__", str(node.target)), node.target, args, kwargs)
        if in_place(call) and (not isinstance(args[0], Wire) or used_elsewhere(node.args[0], layers)):
            raise Unsupported(f"no enclosure for {call.name} in place on a constant or a value that is used elsewhere")
        if not call.wires:
            value = turned(call) or moved(call.name, call.run, call.args, call.kwargs)
            if value is not None:
                values[node] = value
                continue
        for t in _for_each_sample(call, len(x), tracer.values[node]):
            one = t.through(of_one_sample) if isinstance(t, Moved) else of_one_sample(t)
            yield Call("constant", given, (Wire(0), one), {})
            index += 1
            call = _with_instead(call, t, Wire(index))
        if not call.wires:
            values[node] = _constant(call)
            continue
        call = with_layers_weight(call)
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


MADE = (torch.zeros_like, torch.ones_like, torch.full_like, "new_zeros", "new_ones", "new_full")
"""What makes a constant of the shape of a value."""

LIKE = {"expand_as": "expand", "view_as": "view", "reshape_as": "reshape"}
"""Methods that take a shape from a value, and those that are told it."""

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


def _places(wire: Wire, dim: int, number: int) -> Iterator[Call]:
    """Each place of an axis by itself."""
    for place in range(number):
        yield Call("getitem", operator.getitem, (wire, (*[slice(None)] * dim, place)), {})


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
