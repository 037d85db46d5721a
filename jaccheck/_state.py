"""Everything of the user's, and everything global, that a computation might change: noted, compared, put back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._settings import UNKNOWN, Setting, settings

_CONTAINERS = frozenset((dict, OrderedDict, list, set))
_PLAIN = frozenset((bool, int, float, str, type(None)))
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class _Word(Enum):
    """What stands in a change for a value that is not there, or that can't be shown."""

    ABSENT = "absent"
    AS_IT_WAS = "as it was"
    CHANGED_IN_PLACE = "changed in place"


_ABSENT = _Word.ABSENT


class Snapshot:
    """A model, an input and the global state at one moment.

    Tensors' values are compared bit for bit, so that NaN equals itself and 0 is not -0. Parameters, buffers, their
    `.grad` and the input are cloned. A tensor kept as an attribute (BackPACK's `grad_batch`, say), which may be large,
    is watched by its version counter alone: if it has been written to, that is seen, but can't be undone.
    """

    _settings: tuple[Setting, ...]
    _globals: list[tuple[Setting, Any]]  # with the values they had
    _parts: list[_Module | _Tensor]
    _input: _Tensor | None

    @classmethod
    def take(cls, model: nn.Module, x: Tensor | None = None) -> Snapshot:
        """Note the state of `model`, of `x` and of what is global."""
        snapshot = cls()
        snapshot._settings = settings()
        snapshot._globals = [(setting, setting.get()) for setting in snapshot._settings]
        snapshot._parts = []
        seen = set()
        for prefix, module in model.named_modules():
            snapshot._parts.append(_Module(prefix, module))
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    snapshot._parts.append(_Tensor(f"{prefix}.{name}" if prefix else name, tensor))
        snapshot._input = None if x is None or id(x) in seen else _Tensor("x", x)
        if snapshot._input:
            snapshot._parts.append(snapshot._input)
        return snapshot

    def changes(self) -> list[str]:
        """What differs now, each in words, as ``0.weight.grad: None -> tensor [2, 3]``; empty if nothing does."""
        found = []
        for setting, before in self._expected():
            if not setting.holds(before):
                shown = setting.shown
                words = f": {shown(before)} -> {shown(setting.get())}" if shown else " has changed"
                found.append(setting.name + words)
        for part in self._parts:
            if not part.holds():
                found += part.changes()
        return found

    def input_changed(self) -> bool:
        """Whether x is not as it was; it takes less time than all `changes`."""
        return self._input is not None and not self._input.holds()

    def restore(self) -> None:
        """Put everything back."""
        for setting, before in self._expected():
            if not setting.holds(before):
                setting.set(before)
        for part in self._parts:
            if not part.holds():
                part.restore()

    def _expected(self) -> list[tuple[Setting, Any]]:
        """The settings with what they should be, those included that have been imported since."""
        now = settings()
        if now is self._settings:
            return self._globals
        names = {setting.name for setting in self._settings}
        new = [(setting, setting.fresh) for setting in now if setting.name not in names]
        return self._globals + [(setting, fresh) for setting, fresh in new if fresh is not UNKNOWN]


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
        self.now: dict[str, Any] = vars(owner)
        self.values = self.now.copy()
        self.containers: list[tuple[str, Any, Any]] = []  # name, container, what it held if anything
        self.versions: list[tuple[str, Tensor, int]] = []
        for name, value in self.values.items():
            kind = type(value)
            if kind in _CONTAINERS:
                self.containers.append((name, value, value.copy() if value else None))
            elif kind not in _PLAIN and isinstance(value, Tensor):
                self.versions.append((name, value, _version(value)))

    def hold(self) -> bool:
        return (
            self.now.keys() == self.values.keys()
            and all(map(is_, self.now.values(), self.values.values()))
            and all(_same_items(items or (), now) for _, now, items in self.containers if now or items)
            and all(_version(tensor) == version for _, tensor, version in self.versions)
        )

    def changes(self) -> Iterator[tuple[str, Any, Any]]:
        """Name, value before and value after of each attribute that is another one, or holds other things."""
        for name in dict.fromkeys((*self.values, *self.now)):
            before, after = self.values.get(name, _ABSENT), self.now.get(name, _ABSENT)
            if before is not after and not (type(before) is type(after) and type(before) in _PLAIN and before == after):
                yield name, before, after
        for name, now, items in self.containers:
            held = type(now)() if items is None else items
            if not _same_items(held, now):
                yield name, held, now
        for name, tensor, version in self.versions:
            if _version(tensor) != version:
                yield name, _Word.AS_IT_WAS, _Word.CHANGED_IN_PLACE

    def restore(self) -> None:
        for name in self.now.keys() - self.values.keys():
            del self.now[name]
        self.now.update(self.values)
        for _, now, items in self.containers:
            if not _same_items(items or (), now):
                now.clear()
                if isinstance(now, list):
                    now.extend(items or ())
                else:
                    now.update(items or ())


class _Module:
    __slots__ = ("attributes", "module", "name", "type")

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name, self.module, self.type = name, module, type(module)
        self.attributes = _Attributes(module)

    def holds(self) -> bool:
        return type(self.module) is self.type and self.attributes.hold()

    def changes(self) -> Iterator[str]:
        name = self.name or "model"
        if type(self.module) is not self.type:
            yield f"{name}: class {_words(self.type)} -> {_words(type(self.module))}"
        for attribute, before, after in self.attributes.changes():
            if isinstance(before, dict) and isinstance(after, dict):
                yield from _entries(name, attribute, before, after)
            else:
                yield f"{name}.{attribute}: {_from_to(before, after)}"

    def restore(self) -> None:
        if type(self.module) is not self.type:
            self.module.__class__ = self.type
        self.attributes.restore()


class _Tensor:
    __slots__ = ("alias", "attributes", "bits", "grad", "grad_state", "hooks", "name", "place", "tensor", "values")

    def __init__(self, name: str, tensor: Tensor) -> None:
        self.name, self.tensor = name, tensor
        self.place = _place(tensor)
        self.alias = tensor.detach()  # the same memory, wherever `tensor.data` may point later
        self.bits = _bits(self.alias)
        self.values = self.bits.clone()
        self.attributes = _Attributes(tensor) if vars(tensor) else None
        self.hooks = [dict(hooks) for hooks in _hooks(tensor)]
        self.grad = _grad(tensor)
        self.grad_state = None if self.grad is None else _Tensor(f"{name}.grad", self.grad)

    def holds(self) -> bool:
        tensor = self.tensor
        return (
            _place(tensor) == self.place
            and torch.equal(self.bits, self.values)
            and (self.attributes.hold() if self.attributes else not vars(tensor))
            and _hooks(tensor) == self.hooks
            and _grad(tensor) is self.grad
            and (self.grad_state is None or self.grad_state.holds())
        )

    def changes(self) -> Iterator[str]:
        name, tensor = self.name, self.tensor
        *memory, requires_grad = self.place
        *memory_now, requires_grad_now = _place(tensor)
        if memory != memory_now:
            kind, kind_now = _kind(self.alias), _kind(tensor)
            yield f"{name}: moved to other memory" if kind == kind_now else f"{name}: {kind} -> {kind_now}"
        if not torch.equal(self.bits, self.values):
            changed = (self.bits != self.values).nonzero()
            yield f"{name}: {len(changed)} of {self.bits.numel()} values changed, the first at {changed[0].tolist()}"
        if requires_grad != requires_grad_now:
            yield f"{name}.requires_grad: {requires_grad} -> {requires_grad_now}"
        attributes = self.attributes.changes() if self.attributes else _added(vars(tensor))
        for attribute, before, after in attributes:
            yield f"{name}.{attribute}: {_from_to(before, after)}"
        for hooks, hooks_now in zip(self.hooks, _hooks(tensor), strict=True):
            yield from _entries(name, "_hooks", hooks, hooks_now)
        grad = _grad(tensor)
        if grad is not self.grad:
            yield f"{name}.grad: {_from_to(self.grad, grad)}"
        if self.grad_state is not None:
            yield from self.grad_state.changes()

    def restore(self) -> None:
        tensor = self.tensor
        if not torch.equal(self.bits, self.values):
            with torch.inference_mode(self.bits.is_inference()):
                self.bits.copy_(self.values)
        if _place(tensor)[:-1] != self.place[:-1]:
            tensor.data = self.alias
        if tensor.requires_grad != self.place[-1]:
            tensor.requires_grad_(self.place[-1])
        if self.attributes:
            self.attributes.restore()
        else:
            vars(tensor).clear()
        for hooks, hooks_now in zip(self.hooks, _hooks(tensor), strict=True):
            if not _same_items(hooks, hooks_now):
                hooks_now.clear()
                hooks_now.update(hooks)
        if _grad(tensor) is not self.grad:
            tensor.grad = self.grad
        if self.grad_state is not None:
            self.grad_state.restore()


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Where a tensor's numbers lie and how they are read; last, whether it requires grad."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.requires_grad


def _bits(tensor: Tensor) -> Tensor:
    """`tensor` with its bits read as integers, sharing its memory; empty if it has none, or is sparse."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
        return _NO_BITS
    if tensor.dtype is torch.complex128:
        tensor = torch.view_as_real(tensor)
    return tensor if tensor.dtype is torch.bool else tensor.view(_INTEGERS[tensor.element_size()])


_NO_BITS = torch.empty(0, dtype=torch.uint8, device="cpu")


def _grad(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf or tensor.retains_grad else None  # torch warns about the others


def _hooks(tensor: Tensor) -> list[dict[int, Any]]:
    """The hooks on a tensor's gradient; where torch has no dict for them yet, an empty one."""
    hooks = tensor._backward_hooks, getattr(tensor, "_post_accumulate_grad_hooks", None)
    return [{} if registered is None else registered for registered in hooks]


def _added(attributes: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    return ((name, _ABSENT, value) for name, value in attributes.items())


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _same_items(before: Any, now: Any) -> bool:
    """Whether a container, `now`, holds the very objects of `before`."""
    if len(before) != len(now):
        return False
    if isinstance(now, set):
        return bool(now == set(before))
    if isinstance(now, dict):
        return all(before.get(key, _ABSENT) is value for key, value in now.items())
    return all(map(is_, before, now))


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
    if isinstance(value, _Word):
        return value.value
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, (list, set, dict)):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} object"
