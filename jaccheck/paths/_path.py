"""What a path is, and what the built-in ones have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from jaccheck._attributes import CONTAINERS, Attributes
from jaccheck._rounding import Rounding

# torch on what full backward hooks, BackPACK's and Opacus', don't go with
HOOK_REFUSALS = (
    "BackwardHookFunction",
    "Cannot use both regular backward hooks and full backward hooks",
    "not supported on ScriptModules",
)
# and on checkpoints that only `backward()` comes through
GRAD_REFUSAL = "compatible with .grad()"  # "not …" in torch 2.2, "in…" since


@runtime_checkable
class Path(Protocol):
    """One way to compute a batched Jacobian.

    Optional attributes say what a correct result may differ by: `extra_roundings`, the roundings beyond those of one
    backward pass (default 0); `mode`, ``"reverse"`` or ``"forward"`` (default ``"reverse"``); ``exact(N, C)``,
    whether what the path does on its own is exact for an output of that shape (default: no extra roundings); and, where
    it isn't, ``exactly(N, C)``, the path with other options by which it is, or None.

    An optional `snippet` says how to call it without jaccheck: Python source that defines ``jacobian(model, x)``, with
    its imports but for ``torch`` and ``torch.nn as nn``. Reproducers consist of it.
    """

    @property
    def name(self) -> str:
        """What the path is called in reports and on the command line."""

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """Compute the Jacobian ``[N, C, *p.shape]`` of each parameter p of `model` that requires grad, at `x`.

        Raises:
            Unsupported: the path can't do this model; the message names the layer and the reason.
        """


def extra_roundings(path: Path) -> int:
    """How many roundings `path` adds to those of one backward pass."""
    more = getattr(path, "extra_roundings", 0)
    if type(more) is not int or more < 0:
        raise ValueError(f"the extra_roundings of path {path.name!r} are {more!r}, but should be an int from 0")
    return more


def rounding(path: Path) -> Rounding:
    """How a correct result of `path` may have been rounded."""
    return Rounding(mode(path), extra_roundings(path))


def exact(path: Path, N: int, C: int) -> bool:
    """Whether `path` adds no rounding to a backward pass from an output ``[N, C]``, where that pass is exact."""
    claim = getattr(path, "exact", None)
    return extra_roundings(path) == 0 if claim is None else bool(claim(N, C))


def exactly(path: Path, N: int, C: int) -> Path | None:
    """`path` as it is, or with other options, so that it adds no rounding to a backward pass from ``[N, C]``."""
    if exact(path, N, C):
        return path
    with_options = getattr(path, "exactly", None)
    return None if with_options is None else with_options(N, C)


def mode(path: Path) -> Literal["reverse", "forward"]:
    """Whether `path` goes from the outputs to the parameters (reverse) or from the parameters to the outputs."""
    mode = getattr(path, "mode", "reverse")
    if mode not in ("reverse", "forward"):
        raise ValueError(f"the mode of path {path.name!r} is {mode!r}, but should be 'reverse' or 'forward'")
    return "forward" if mode == "forward" else "reverse"


def snippet(path: Path) -> str | None:
    """How to call `path` without jaccheck, as Python source; None if it doesn't say."""
    source = getattr(path, "snippet", None)
    return None if source is None else dedent(str(source)).strip("\n")


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require grad, by name; tied ones once, under their first name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def leaf(x: Tensor) -> Tensor:
    """`x` as a leaf that requires grad, without its history; it shares the memory of `x` where autograd can use that.

    It requires grad because module backward hooks, BackPACK's among them, see each layer only if its input does.
    """
    return (x.clone() if x.is_inference() else x.detach()).requires_grad_()


def apart(J: dict[str, Tensor]) -> dict[str, Tensor]:
    """`J` with memory for each: torch gives the same tensor twice for ``a`` and ``b`` in ``x * (a + b)``."""
    places: set[int] = set()
    for name, j in J.items():
        J[name] = j.clone() if j.data_ptr() in places else j
        places.add(J[name].data_ptr())
    return J


@contextmanager
def borrowed(model: nn.Module) -> Iterator[None]:
    """Gradients are enabled, whatever the caller's mode; attributes and buffers that change are put back."""
    # With the parameters' places: torch's functional_call leaves a plain tensor in that of a layer with two names. And
    # with what the model's own forward keeps: of torch.func's tensors nothing is left once its call is over.
    plain = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    dicts: list[Any] = [now for module in plain for now in (vars(module), module._parameters, module._buffers)]
    dicts += [vars(p) for p in model.parameters()]
    saved = [(now, now.copy()) for now in dicts]
    kept = [Attributes(module) for module in plain if _has_containers(module)]
    buffers = [(buffer, buffer._version, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for now, before in saved:
            for key in now.keys() - before.keys():
                del now[key]
            now.update(before)
        for attributes in kept:
            attributes.restore()
        with torch.no_grad():
            for buffer, version, value in buffers:
                if buffer._version != version:
                    buffer.copy_(value)


_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def _has_containers(module: nn.Module) -> bool:
    """Whether it has any of its own."""
    attributes = vars(module)
    return any(type(attributes[name]) in CONTAINERS for name in attributes.keys() - _OF_EVERY_MODULE)
