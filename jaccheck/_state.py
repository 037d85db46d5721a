"""Everything of the user's, and everything global, that a computation might change: noted, compared, put back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._attributes import Namespace
from jaccheck._parts import Module, Watched
from jaccheck._setting import UNKNOWN, Setting
from jaccheck._settings import settings

_FUNCTIONS = (torch.Tensor, nn.Parameter, torch.nn, torch.nn.functional, torch.autograd, torch.func)


class Snapshot:
    """A model, an input and the global state at one moment.

    Tensors' values are compared bit for bit, so that NaN equals itself and 0 is not -0. Parameters, buffers, their
    `.grad` and the input are cloned. A tensor kept as an attribute (BackPACK's `grad_batch`, say), which may be large,
    is watched by its version counter alone: if it has been written to, that is seen, but can't be undone.
    """

    _settings: tuple[Setting, ...]
    _globals: list[tuple[Setting, Any]]  # with the values they had
    _parts: list[Module | Watched | Namespace]
    _input: Watched | None
    _own: frozenset[str] = frozenset()  # what the model's own forward pass changes
    _imported: int  # modules

    @classmethod
    def take(cls, model: nn.Module, x: Tensor | None = None) -> Snapshot:
        """Note the state of `model`, of `x` and of what is global."""
        snapshot = cls()
        snapshot._settings = settings()
        snapshot._globals = [(setting, setting.get()) for setting in snapshot._settings]
        snapshot._parts = []
        snapshot._imported = len(sys.modules)
        seen = set()
        classes: dict[type, None] = {}
        for prefix, module in model.named_modules():
            snapshot._parts.append(Module(prefix, module))
            if type(module) not in classes:
                classes.update(dict.fromkeys(type(module).__mro__[:-1]))
            for tensors, versioned in ((module._parameters, True), (module._buffers, False)):
                for name, tensor in tensors.items():
                    if tensor is not None and id(tensor) not in seen:
                        seen.add(id(tensor))
                        full = f"{prefix}.{name}" if prefix else name
                        snapshot._parts.append(Watched(full, tensor, versioned=versioned))
        snapshot._input = None if x is None or id(x) in seen else Watched("x", x)
        if snapshot._input:
            snapshot._parts.append(snapshot._input)
        snapshot._parts += map(Namespace, (*classes, *_FUNCTIONS))
        return snapshot

    def changes(self) -> list[str]:
        """What differs now, each in words, as ``0.weight.grad: None -> tensor [2, 3]``; empty if nothing does."""
        found = [setting.change(before) for setting, before in self._expected() if not setting.holds(before)]
        for part in self._parts:
            if not part.holds():
                found += part.changes()
        return found

    def undone(self) -> list[str]:
        """Put everything back, and say what somebody has changed since the last time.

        What the model's own forward pass changes is nobody's fault, nor is what imports do, where there have been any:
        torch leaves some for the first call of a function, and sympy sets warnings filters.
        """
        found = self.changes()
        if found:
            self.restore()
        return self._blamed(found)

    def left(self) -> list[str]:
        """As `undone`, but the model and the input stay as they are."""
        found = self.changes()
        if found:
            self._restore_settings()
        return self._blamed(found)

    def _blamed(self, found: list[str]) -> list[str]:
        before, self._imported = self._imported, len(sys.modules)
        excused = self._own
        if found and self._imported > before:
            excused |= {setting.name for setting in self._settings if setting.by_imports}
        return [words for words in found if subject(words) not in excused]

    def expect(self, changes: list[str]) -> None:
        """The model's own forward pass makes these `changes`: from now on they are nobody else's fault."""
        self._own = frozenset(map(subject, changes))

    def input_changed(self) -> bool:
        """Whether x is not as it was; it takes less time than all `changes`."""
        return self._input is not None and not self._input.holds()

    def restore(self) -> None:
        """Put everything back."""
        self._restore_settings()
        for part in self._parts:
            if not part.holds():
                part.restore()

    def _restore_settings(self) -> None:
        for setting, before in self._expected():
            if not setting.holds(before):
                setting.set(before)

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


def subject(change: str) -> str:
    """What has changed, without from what and to what."""
    return change.partition(":")[0]
