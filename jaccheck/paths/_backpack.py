"""BackPACK on the user's own model: its hooks on for a while, its refusals in its own words."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb

import torch
from backpack import backpack, disable, extend, hook_run_extensions
from backpack.context import CTX
from backpack.extensions.backprop_extension import BackpropExtension
from torch import Tensor, nn

from jaccheck._capabilities import ABSENT
from jaccheck._culprit import culprit, described
from jaccheck._errors import Unsupported
from jaccheck.paths._path import GRAD_REFUSAL, HOOK_REFUSALS

_CONTEXT = threading.RLock()  # BackPACK's active extensions and hook handles, and warning filters, are global

# BackPACK's RuntimeErrors on tensors that don't fit to a layer
_SHAPE_CHECKS = ("check_shape", "check_same_V_dim")


@contextmanager
def extended(*modules: nn.Module) -> Iterator[None]:
    """BackPACK's hooks are on, and taken off again unless the user had put them there; attributes stay behind."""
    with _CONTEXT, warnings.catch_warnings():
        # Whether a hook's input requires grad, or a container has rules of its own, is no matter here.
        warnings.filterwarnings("ignore", message="Full backward hook is firing when gradients are computed")
        warnings.filterwarnings("ignore", message="Applying the CPU mse kernel on half-type tensors")  # torch 2.2
        warnings.filterwarnings("ignore", message="Extension saving to .* does not have an extension for Module")
        stores, disable.store_io = disable.store_io, True
        first = len(CTX.hook_handles)
        try:
            for module in modules:
                for part in module.modules():  # CTX.remove_hooks() leaves the flag on
                    if hook_run_extensions not in part._backward_hooks.values():
                        vars(part).pop("_backpack_extend", None)
                extend(module)
            yield
        finally:
            disable.store_io = stores
            for handle in CTX.hook_handles[first:]:
                handle.remove()
            del CTX.hook_handles[first:]


@contextmanager
def refusals(model: nn.Module) -> Iterator[None]:
    """Turn what BackPACK says of a model it can't do into `Unsupported`; a crash stays a crash."""
    try:
        yield
    except (AssertionError, AttributeError, RuntimeError) as error:  # NotImplementedError is a RuntimeError
        reason = _reason(error)
        if reason is None:
            raise
        raise Unsupported(f"{culprit(model, error)}: {reason}") from error


def _reason(error: Exception) -> str | None:
    """Why BackPACK, or torch on its behalf, refuses; None if it doesn't, but has gone wrong."""
    words = re.sub(r" object at 0x[0-9a-f]+", "", " ".join(" ".join(map(str, error.args)).split()))
    module, function = _raised_in(error)
    if module.partition(".")[0] == "backpack" and (
        isinstance(error, (AssertionError, NotImplementedError)) or function in _SHAPE_CHECKS
    ):
        if "expects a backpropagation quantity" in words:
            return f"{words} What it gives goes through something that is not a layer, or to two places."
        return words
    if isinstance(error, AttributeError) and re.search("no attribute '(output|input0)'", words):
        return f"{words}. BackPACK keeps one input and output of each layer; this one is used more than once."
    if isinstance(error, RuntimeError) and any(refusal in words for refusal in HOOK_REFUSALS):
        return f"BackPACK's hooks can't be used here: {words}"
    if isinstance(error, RuntimeError) and _took_a_vector(error):
        return f"BackPACK takes batches, and this layer is given a vector: {words}"
    if isinstance(error, RuntimeError) and (ABSENT in words or GRAD_REFUSAL in words):
        return words
    return None


def _took_a_vector(error: Exception) -> bool:
    """Whether the layer that BackPACK was at had an input without a batch axis."""
    layer = None
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] == "backpack":
            layer = frame.f_locals.get("module", layer)
    a = getattr(layer, "input0", None)
    return isinstance(a, Tensor) and a.dim() == 1


def _raised_in(error: Exception) -> tuple[str, str]:
    """The module and the function, by name, that raised `error`."""
    name = "", ""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        name = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        traceback = traceback.tb_next
    return name


def backward(
    f: Tensor,
    inputs: Sequence[Tensor],
    extension: BackpropExtension,
    seed: Tensor | None = None,
    *,
    retain_graph: bool = False,
    after_layer: Callable[[nn.Module], None] | None = None,
) -> tuple[Tensor | None, ...]:
    """One backward pass under `extension`, that of ``backward()`` but for `.grad`, which it leaves alone."""
    with backpack(extension, extension_hook=after_layer, retain_graph=retain_graph):
        return torch.autograd.grad(f, inputs, seed, retain_graph=retain_graph, allow_unused=True)


def no_rule(model: nn.Module, parameter: str, extension: BackpropExtension, visited: bool) -> Unsupported:
    """For a parameter that BackPACK's backward pass left without a result, and without a word.

    Args:
        visited: whether BackPACK has come through the parameter's layer.
    """
    name = parameter.rpartition(".")[0]
    layer = described(model.get_submodule(name), name)
    if visited:
        words = f"does not have an extension for Module {type(model.get_submodule(name))}"
        return Unsupported(f"{layer}: Extension saving to {extension.savefield} {words}")
    return Unsupported(f"{layer}: parameter {parameter!r} is used outside of its layer, where BackPACK can't see it")
