"""What somebody keeps in attributes: a module, a tensor, a class."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any

from torch import Tensor

from jaccheck._words import Word, from_to, shown

CONTAINERS = frozenset((dict, OrderedDict, list, set, deque))
_PLAIN = frozenset((bool, int, float, str, type(None)))
_DEEPEST = 4  # containers in containers


class Attributes:
    """The attributes of a module or tensor, and into those that are containers."""

    __slots__ = ("containers", "now", "values", "versions")

    def __init__(self, owner: Any) -> None:
        self.now: dict[str, Any] = vars(owner)
        self.values = self.now.copy()
        self.containers: list[tuple[str, Any, Any]] = []  # name, container, what it held if anything
        self.versions: list[tuple[str, Tensor, int]] = []
        for name, value in self.values.items():
            if type(value) in CONTAINERS:
                self._contained(name, value, _DEEPEST)
            elif type(value) not in _PLAIN and isinstance(value, Tensor):
                self.versions.append((name, value, version(value)))

    def _contained(self, name: str, container: Any, deep: int) -> None:
        self.containers.append((name, container, container.copy() if container else None))
        items = container.values() if isinstance(container, dict) else container
        if deep and not CONTAINERS.isdisjoint(map(type, items)):
            for key, item in container.items() if isinstance(container, dict) else enumerate(container):
                if type(item) in CONTAINERS:
                    self._contained(f"{name}[{key!r}]", item, deep - 1)

    def hold(self) -> bool:
        return (
            self.now.keys() == self.values.keys()
            and all(map(is_, self.now.values(), self.values.values()))
            and all(_same_items(items or (), now) for _, now, items in self.containers if now or items)
            and all(version(tensor) == before for _, tensor, before in self.versions)
        )

    def changes(self) -> Iterator[tuple[str, Any, Any]]:
        """Name, value before and value after of each attribute that is another one, or holds other things."""
        for name in dict.fromkeys((*self.values, *self.now)):
            before, after = self.values.get(name, Word.ABSENT), self.now.get(name, Word.ABSENT)
            if before is not after and not (type(before) is type(after) and type(before) in _PLAIN and before == after):
                yield name, before, after
        for name, now, items in self.containers:
            held = type(now)() if items is None else items
            if not _same_items(held, now):
                yield name, held, now
        for name, tensor, before in self.versions:
            if version(tensor) != before:
                yield name, Word.AS_IT_WAS, Word.CHANGED_IN_PLACE

    def restore(self) -> None:
        for name in self.now.keys() - self.values.keys():
            del self.now[name]
        self.now.update(self.values)
        for _, now, items in self.containers:
            if not _same_items(items or (), now):
                now.clear()
                if isinstance(now, (list, deque)):
                    now.extend(items or ())
                else:
                    now.update(items or ())


class Namespace:
    """What a class or a module of Python's holds, whoever else uses it: functions, that somebody might replace."""

    __slots__ = ("owner", "values")

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.values = vars(owner).copy()

    def holds(self) -> bool:
        now = vars(self.owner)
        return len(now) == len(self.values) and all(map(is_, now.values(), self.values.values()))

    def _different(self) -> Iterator[str]:
        """The names that stand for something else; what a later import adds to a module doesn't count."""
        now = vars(self.owner)
        for name in dict.fromkeys((*self.values, *(now if isinstance(self.owner, type) else ()))):
            added = name not in self.values and name.startswith("__") and not callable(now[name])  # Python's own
            if now.get(name, Word.ABSENT) is not self.values.get(name, Word.ABSENT) and not added:
                yield name

    def changes(self) -> Iterator[str]:
        now = vars(self.owner)
        owner = shown(self.owner) if isinstance(self.owner, type) else self.owner.__name__
        for name in self._different():
            yield f"{owner}.{name}: {from_to(self.values.get(name, Word.ABSENT), now.get(name, Word.ABSENT))}"

    def restore(self) -> None:
        for name in [*self._different()]:
            if name in self.values:
                setattr(self.owner, name, self.values[name])
            else:
                delattr(self.owner, name)


@contextmanager
def kept(parts: Iterable[Attributes | Namespace]) -> Iterator[None]:
    """Whatever happens inside, they are afterwards as they were."""
    parts = [*parts]
    try:
        yield
    finally:
        for part in parts:
            part.restore()


def version(tensor: Tensor) -> int:
    """How often it has been written to, as far as anybody counts."""
    return 0 if tensor.is_inference() else tensor._version


def _same_items(before: Any, now: Any) -> bool:
    """Whether a container, `now`, holds the very objects of `before`, in its order."""
    if len(before) != len(now) or not before:
        return not now and not before
    if isinstance(now, set):
        return bool(now == set(before))
    if isinstance(now, dict):
        return all(map(is_, before.values(), now.values())) and list(before) == list(now)
    return all(map(is_, before, now))
