"""One thing that is global."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

UNKNOWN = object()


@dataclass(frozen=True)
class Setting:
    """One thing that is global: how to read it, set it, compare it and say it."""

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], object]
    shown: Callable[[Any], str] | None = repr  # None: it only says that it has changed
    same: Callable[[Any], bool] | None = None  # whether what was got before still holds, where `==` can't say
    apart: Callable[[Any, Any], str] | None = None  # what differs, where both as they are would be too long
    fresh: Any = UNKNOWN  # what an import sets it to, for what comes with a package
    by_imports: bool = False  # imports change it: torch's own that it leaves for later, sympy's, …

    def holds(self, before: Any) -> bool:
        """Whether it is as it was when `before` was got."""
        return self.same(before) if self.same else bool(self.get() == before)

    def change(self, before: Any) -> str:
        """In words, from what to what."""
        if self.apart:
            return f"{self.name}: {self.apart(before, self.get())}"
        return (
            f"{self.name}: {self.shown(before)} -> {self.shown(self.get())}"
            if self.shown
            else f"{self.name} has changed"
        )


def attribute(owner: Any, name: str, called: str, fresh: Any = UNKNOWN) -> Setting:
    """The setting `name` of a module or object `owner`."""
    return Setting(called, *guarded(partial(getattr, owner, name), partial(setattr, owner, name)), fresh=fresh)


def attributes(owner: Any, called: str, *names: str) -> Iterator[Setting]:
    """Those of the settings `names` of `owner` that this torch has."""
    for name in names:
        setting = attribute(owner, name, f"{called}.{name}")
        try:
            setting.get()
        except AttributeError:
            continue
        yield setting


class _Untold(str):
    """What torch says instead of a setting's value, where its old and its new name have both been used."""


def guarded(get: Callable[[], Any], set: Callable[[Any], object]) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """How to read and write a setting of torch that doesn't always tell its value: then it is left alone."""

    def read() -> Any:
        try:
            return get()
        except RuntimeError as error:
            return _Untold(error)

    def write(value: Any) -> None:
        if not isinstance(value, _Untold):
            set(value)

    return read, write
