"""What a snapshot watches of the user's: modules, and tensors with their attributes and all that hangs on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._attributes import Attributes, version
from jaccheck._words import Word, entries, from_to, kind, shown

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class Module:
    """A layer: its class and attributes, among which are its hooks, parameters, buffers, modules and mode."""

    __slots__ = ("attributes", "module", "name", "type")

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module, self.type = name, module, type(module)
        if isinstance(module, torch.jit.ScriptModule):
            getattr(module, "forward", None)  # of a compiled one, torch keeps it as an attribute once it is asked for
        self.attributes = Attributes(module)

    def holds(self) -> bool:
        return type(self.module) is self.type and self.attributes.hold()

    def changes(self) -> Iterator[str]:
        name = self.name or "model"
        if type(self.module) is not self.type:
            yield f"{name}: class {shown(self.type)} -> {shown(type(self.module))}"
        for attribute, before, after in self.attributes.changes():
            if isinstance(before, dict) and isinstance(after, dict):
                yield from entries(name, attribute, before, after)
            else:
                yield f"{name}.{attribute}: {from_to(before, after)}"

    def restore(self) -> None:
        if type(self.module) is not self.type:
            self.module.__class__ = self.type
        self.attributes.restore()


class Watched:
    """A parameter, a buffer, a gradient or the input: its values, its memory, and all that hangs on it.

    A write that leaves the values as they were shows in the version counter, by which autograd refuses graphs that the
    user may hold; that of a buffer, which a model's own forward may write to, is not watched.
    """

    # fmt: off
    __slots__ = (
        "alias", "attributes", "bits", "grad", "grad_state", "hooks", "name", "nbytes", "place", "tensor", "type",
        "values", "version", "versioned", "view_of_graph",
    )
    # fmt: on

    def __init__(self, name: str, tensor: Tensor, *, versioned: bool = True) -> None:
        self.name, self.tensor, self.type, self.versioned = name, tensor, type(tensor), versioned
        self.place, self.view_of_graph = _place(tensor), _is_view_of_graph(tensor)
        self.version = version(tensor)
        self.alias = tensor.detach()  # the same memory, wherever `tensor.data` may point later
        self.bits = _bits(self.alias)
        self.values = self.bits.clone()
        self.nbytes = self.bits.untyped_storage().nbytes()
        self.attributes = Attributes(tensor) if vars(tensor) else None
        self.hooks = _hooks(tensor)
        self.grad = _grad(tensor)
        self.grad_state = None if self.grad is None else Watched(f"{name}.grad", self.grad)

    def holds(self) -> bool:
        tensor = self.tensor
        return (
            _place(tensor) == self.place
            and type(tensor) is self.type
            and self._keeps_values()
            and (not self.versioned or version(tensor) == self.version)
            and (self.attributes.hold() if self.attributes else not vars(tensor))
            and _hooks(tensor) == self.hooks
            and _grad(tensor) is self.grad
            and (self.grad_state is None or self.grad_state.holds())
        )

    def _keeps_values(self) -> bool:
        return torch.equal(self.bits, self.values)

    def _has_memory(self) -> bool:
        return self.bits.untyped_storage().nbytes() >= self.nbytes

    def changes(self) -> Iterator[str]:
        name, tensor = self.name, self.tensor
        *memory, requires_grad = self.place
        *memory_now, requires_grad_now = _place(tensor)
        if type(tensor) is not self.type:
            yield f"{name}: class {shown(self.type)} -> {shown(type(tensor))}"
        if memory != memory_now:
            before, after = kind(self.alias), kind(tensor)
            yield f"{name}: moved to other memory" if before == after else f"{name}: {before} -> {after}"
        if self._has_memory() and not self._keeps_values():
            changed = (self.bits != self.values).nonzero()
            yield f"{name}: {len(changed)} of {self.bits.numel()} values changed, the first at {changed[0].tolist()}"
        elif self.versioned and version(tensor) != self.version and memory == memory_now:
            yield f"{name}: written to in place, though its values are the same"
        if requires_grad != requires_grad_now:
            yield f"{name}.requires_grad: {requires_grad} -> {requires_grad_now}"
        attributes = self.attributes.changes() if self.attributes else _added(vars(tensor))
        for attribute, before, after in attributes:
            yield f"{name}.{attribute}: {from_to(before, after)}"
        for hooks, hooks_now in zip(self.hooks, _hooks(tensor), strict=True):
            yield from entries(name, "_hooks", dict(hooks), dict(hooks_now))
        grad = _grad(tensor)
        if grad is not self.grad:
            yield f"{name}.grad: {from_to(self.grad, grad)}"
        if self.grad_state is not None:
            yield from self.grad_state.changes()

    def restore(self) -> None:
        tensor = self.tensor
        if type(tensor) is not self.type:
            tensor.__class__ = self.type
        if not self._has_memory():  # storage that somebody has given back, which torch can't be told to find again
            self.bits.untyped_storage().resize_(self.nbytes)
        if not self._keeps_values():
            with torch.inference_mode(self.bits.is_inference()), torch.no_grad():
                self.bits.copy_(self.values)
        if _is_view_of_graph(tensor) and not self.view_of_graph:
            _leave_graph(tensor._base)  # type: ignore[arg-type]
        elif not self.place[-1] and not self.view_of_graph:
            _leave_graph(tensor)
        if _place(tensor)[:-1] != self.place[:-1]:
            tensor.data = self.alias
        if tensor.requires_grad != self.place[-1]:
            tensor.requires_grad_(self.place[-1])
        if self.attributes:
            self.attributes.restore()
        else:
            vars(tensor).clear()
        for hooks, hooks_now in zip(self.hooks, _registered(tensor), strict=True):
            if hooks_now is not None and hooks != (*hooks_now.items(),):
                hooks_now.clear()
                hooks_now.update(hooks)
        if _grad(tensor) is not self.grad:
            tensor.grad = self.grad
        if self.grad_state is not None:
            self.grad_state.restore()
        if version(tensor) != self.version:
            _set_version(tensor, self.version)
        self.place = _place(tensor)  # where the memory itself is another, that can't be undone


def _is_view_of_graph(tensor: Tensor) -> bool:
    """Such a view becomes a part of the graph, too, if one as much as asks whether it is a leaf."""
    return tensor._base is not None and tensor._base.requires_grad


def _leave_graph(tensor: Tensor) -> None:
    """What was written in the middle of a graph is a tensor like any other."""
    if not tensor.requires_grad:
        return
    if _is_leaf(tensor):
        tensor.requires_grad_(False)
    else:
        tensor.detach_()


def _is_leaf(tensor: Tensor) -> bool:
    """True of a view that was made without gradients and written to with them, too, of which torch refuses to tell."""
    try:
        return tensor.is_leaf
    except RuntimeError:
        return True


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Where a tensor's numbers lie and how they are read; last, whether it requires grad."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad
    where = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
    return *where, tensor.is_neg(), tensor.is_conj(), tensor.requires_grad


def _bits(tensor: Tensor) -> Tensor:
    """`tensor` with its bits read as integers, sharing its memory; empty if it has none, or is sparse."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return _NO_BITS
    if tensor.is_neg():
        tensor = torch._neg_view(tensor)  # which takes the mark off again
    if tensor.is_conj():
        tensor = tensor.conj()
    if tensor.dtype is torch.complex128:
        tensor = torch.view_as_real(tensor)
    return tensor if tensor.dtype is torch.bool else tensor.view(_INTEGERS[tensor.element_size()])


_NO_BITS = torch.empty(0, dtype=torch.uint8, device="cpu")


def _grad(tensor: Tensor) -> Tensor | None:
    is_leaf = not tensor.requires_grad or (not _is_view_of_graph(tensor) and _is_leaf(tensor))
    return tensor.grad if is_leaf or tensor.retains_grad else None  # torch warns about the others


def _registered(tensor: Tensor) -> tuple[dict[int, Any] | None, ...]:
    return tensor._backward_hooks, getattr(tensor, "_post_accumulate_grad_hooks", None)


def _hooks(tensor: Tensor) -> tuple[tuple[tuple[int, Any], ...], ...]:
    """The hooks on a tensor's gradient in their order; where torch has no dict for them yet, none."""
    return tuple((*registered.items(),) if registered else () for registered in _registered(tensor))


def _added(attributes: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    return ((name, Word.ABSENT, value) for name, value in attributes.items())


def _set_version(tensor: Tensor, version: int) -> None:
    """What was written has been put back: graphs that hold the tensor are right again."""
    try:
        torch._C._autograd._unsafe_set_version_counter((tensor,), (version,))
    except TypeError:  # before torch 2.6
        torch._C._autograd._unsafe_set_version_counter(tensor, version)  # type: ignore[arg-type]
