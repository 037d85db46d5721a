"""Everything of the user's, and everything global, that a computation might change: noted, compared, put back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._settings import Setting, settings

_ABSENT = object()
_CONTAINERS = (dict, OrderedDict, list, set)
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class Snapshot:
    """A model, an input and the global state at one moment.

    Tensors' values are compared bit for bit, so that NaN equals itself and 0 is not -0. Parameters, buffers, their
    `.grad` and the input are cloned; a tensor kept as an attribute (BackPACK's `grad_batch`, say) is watched by its
    version counter alone.
    """

    _globals: list[tuple[Setting, Any]]
    _modules: list[_Module]
    _tensors: list[_Tensor]

    @classmethod
    def take(cls, model: nn.Module, x: Tensor | None = None) -> Snapshot:
        """Note the state of `model`, of `x` and of what is global."""
        snapshot = cls()
        snapshot._globals = [(setting, setting.get()) for setting in settings()]
        snapshot._modules = []
        snapshot._tensors = []
        seen = set()
        for prefix, module in model.named_modules():
            snapshot._modules.append(_Module(prefix, module))
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    snapshot._tensors.append(_Tensor(f"{prefix}.{name}" if prefix else name, tensor))
        if x is not None and id(x) not in seen:
            snapshot._tensors.append(_Tensor("x", x))
        return snapshot

    def changes(self) -> list[str]:
        """What differs now, each in words, as ``0.weight.grad: None -> tensor [2, 3]``; empty if nothing does."""
        found = []
        for setting, before in self._globals:
            after = setting.get()
            if not setting.same(before, after):
                found.append(
                    f"{setting.name} has changed"
                    if setting.shown is None
                    else f"{setting.name}: {setting.shown(before)} -> {setting.shown(after)}"
                )
        for module in self._modules:
            found += module.changes()
        for tensor in self._tensors:
            found += tensor.changes()
        return found

    def restore(self) -> None:
        """Put everything back."""
        for setting, before in self._globals:
            if not setting.same(before, setting.get()):
                setting.set(before)
        for module in self._modules:
            module.restore()
        for tensor in self._tensors:
            tensor.restore()


@contextmanager
def untouched(model: nn.Module, x: Tensor | None = None) -> Iterator[Snapshot]:
    """Whatever happens inside, `model`, `x` and what is global are afterwards as they were."""
    snapshot = Snapshot.take(model, x)
    try:
        yield snapshot
    finally:
        snapshot.restore()


class _Attributes:
    """The attributes of a module or tensor, and one level into those that are containers."""

    __slots__ = ("containers", "now", "values", "versions")

    def __init__(self, owner: Any) -> None:
        self.now = vars(owner)
        self.values = self.now.copy()
        self.containers = {key: value.copy() for key, value in self.values.items() if type(value) in _CONTAINERS}
        self.versions = {key: _version(value) for key, value in self.values.items() if isinstance(value, Tensor)}

    def changes(self) -> Iterator[tuple[str, Any, Any]]:
        """Name, value before and value after of each attribute that is another one, or holds other things."""
        if self.now.keys() == self.values.keys():
            changed = [key for key, value in self.values.items() if self.now[key] is not value]
        else:
            keys = [*self.values, *(key for key in self.now if key not in self.values)]
            changed = [key for key in keys if self.now.get(key, _ABSENT) is not self.values.get(key, _ABSENT)]
        for key in changed:
            before, after = self.values.get(key, _ABSENT), self.now.get(key, _ABSENT)
            if not (type(before) is type(after) and isinstance(before, (bool, int, float, str)) and before == after):
                yield key, before, after
        for key, before in self.containers.items():
            if not _same_items(before, self.values[key]):
                yield key, before, self.values[key]
        for key, version in self.versions.items():
            if _version(self.values[key]) != version:
                yield key, "as it was", "other values"

    def restore(self) -> None:
        for key in self.now.keys() - self.values.keys():
            del self.now[key]
        self.now.update(self.values)
        for key, items in self.containers.items():
            container = self.values[key]
            if not _same_items(items, container):
                container.clear()
                container.extend(items) if isinstance(container, list) else container.update(items)


class _Module:
    __slots__ = ("attributes", "module", "name", "type")

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module, self.type = name, module, type(module)
        self.attributes = _Attributes(module)

    def changes(self) -> Iterator[str]:
        name = self.name or "model"
        if type(self.module) is not self.type:
            yield f"{name}: class {_words(self.type)} -> {_words(type(self.module))}"
        for key, before, after in self.attributes.changes():
            if isinstance(before, dict) and isinstance(after, dict):
                yield from _entries(name, key, before, after)
            else:
                yield f"{name}.{key}: {_from_to(before, after)}"

    def restore(self) -> None:
        if type(self.module) is not self.type:
            self.module.__class__ = self.type
        self.attributes.restore()


class _Tensor:
    __slots__ = ("alias", "attributes", "bits", "grad", "grad_state", "hooks", "name", "requires_grad", "tensor")

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name, self.tensor = name, tensor
        self.alias = tensor.detach()  # the same memory, wherever `tensor.data` may point later
        self.bits = _bits(self.alias).clone()
        self.requires_grad = tensor.requires_grad
        self.attributes = _Attributes(tensor)
        self.hooks = [dict(hooks) for hooks in _hooks(tensor)]
        self.grad = _grad(tensor)
        self.grad_state = None if self.grad is None else _Tensor(f"{name}.grad", self.grad)

    def changes(self) -> Iterator[str]:
        name, now = self.name, self.tensor.detach()
        if now.shape != self.alias.shape or now.dtype != self.alias.dtype or now.device != self.alias.device:
            yield f"{name}: {_kind(self.alias)} -> {_kind(now)}"
        elif now.data_ptr() != self.alias.data_ptr() or now.stride() != self.alias.stride():
            yield f"{name}: moved to other memory"
        bits = _bits(self.alias)
        if not torch.equal(bits, self.bits):
            changed = (bits != self.bits).nonzero()
            yield f"{name}: {len(changed)} of {bits.numel()} values changed, the first at {changed[0].tolist()}"
        if self.tensor.requires_grad != self.requires_grad:
            yield f"{name}.requires_grad: {self.requires_grad} -> {self.tensor.requires_grad}"
        for key, before, after in self.attributes.changes():
            yield f"{name}.{key}: {_from_to(before, after)}"
        for hooks, now_hooks in zip(self.hooks, _hooks(self.tensor), strict=True):
            yield from _entries(name, "hooks", hooks, now_hooks)
        grad = _grad(self.tensor)
        if grad is not self.grad:
            yield f"{name}.grad: {_from_to(self.grad, grad)}"
        if self.grad_state is not None:
            yield from self.grad_state.changes()

    def restore(self) -> None:
        tensor, alias = self.tensor, self.alias
        with torch.inference_mode(alias.is_inference()), torch.no_grad():
            bits = _bits(alias)
            if not torch.equal(bits, self.bits):
                bits.copy_(self.bits)
            now = tensor.detach()
            if (now.data_ptr(), now.shape, now.dtype, now.stride()) != (
                alias.data_ptr(),
                alias.shape,
                alias.dtype,
                alias.stride(),
            ):
                tensor.data = alias
        if tensor.requires_grad != self.requires_grad:
            tensor.requires_grad_(self.requires_grad)
        self.attributes.restore()
        for hooks, now_hooks in zip(self.hooks, _hooks(tensor), strict=True):
            if not _same_items(hooks, now_hooks):
                now_hooks.clear()
                now_hooks.update(hooks)
        if _grad(tensor) is not self.grad:
            tensor.grad = self.grad
        if self.grad_state is not None:
            self.grad_state.restore()


def _bits(tensor: Tensor) -> Tensor:
    """`tensor` with its bits read as integers, sharing its memory."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return tensor
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.view(_INTEGERS[tensor.element_size()])


def _grad(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf or tensor.retains_grad else None  # torch warns about the others


def _hooks(tensor: Tensor) -> list[dict[int, Any]]:
    """The hooks on a tensor's gradient; where torch has no dict for them yet, an empty one."""
    return [getattr(tensor, name, None) or {} for name in ("_backward_hooks", "_post_accumulate_grad_hooks")]


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _same_items(a: Any, b: Any) -> bool:
    """Whether two containers hold the very same objects."""
    if len(a) != len(b):
        return False
    if isinstance(a, set):
        return bool(a == b)
    if isinstance(a, dict):
        return all(b.get(key, _ABSENT) is value for key, value in a.items())
    return all(one is other for one, other in zip(a, b, strict=True))


def _entries(name: str, kind: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[str]:
    """What has come to, gone from or changed in a dict of hooks, parameters, buffers, …"""
    words = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}.get(kind)
    hooks = words is None and "hooks" in kind
    if hooks:
        words = kind.strip("_").replace("_", " ").replace("hooks", "hook")
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if old is new:
            continue
        if words is None:
            yield f"{name}.{kind}[{key!r}]: {_from_to(old, new)}"
        elif not hooks:
            yield f"{words} {key!r} of {name}: {_from_to(old, new)}"
        elif old is _ABSENT:
            yield f"{words} added to {name!r} ({_words(new)})"
        elif new is _ABSENT:
            yield f"{words} removed from {name!r} ({_words(old)})"
        else:
            yield f"{words} of {name!r}: {_from_to(old, new)}"


def _from_to(before: Any, after: Any) -> str:
    old, new = _words(before), _words(after)
    return f"{old} -> another {new}" if old == new else f"{old} -> {new}"


def _kind(tensor: Tensor) -> str:
    return f"{_words(tensor)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _words(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, (list, set, dict)):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} object"
