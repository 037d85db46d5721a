"""Changes of a model's or tensor's state in words: what, from what, to what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any

from torch import Tensor


class Word(Enum):
    """What stands in a change for a value that is not there, or that can't be shown."""

    ABSENT = "absent"
    AS_IT_WAS = "as it was"
    CHANGED_IN_PLACE = "changed in place"


def entries(name: str, kind: str, before: dict[Any, Any], after: dict[Any, Any]) -> Iterator[str]:
    """What has come to, gone from or changed in a dict of hooks, parameters, buffers, …, or in which order they are."""
    words = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}.get(kind)
    hooks = words is None and "hooks" in kind
    if hooks:
        words = kind.strip("_").replace("_", " ").replace("hooks", "hook")
    if [key for key in before if key in after] != [key for key in after if key in before]:
        yield f"{words or kind}s of {name!r}: in another order"
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key, Word.ABSENT), after.get(key, Word.ABSENT)
        if old is new:
            continue
        if words is None:
            yield f"{name}.{kind}[{key!r}]: {from_to(old, new)}"
        elif not hooks:
            yield f"{words} {key!r} of {name}: {from_to(old, new)}"
        elif old is Word.ABSENT:
            yield f"{words} added to {name!r} ({shown(new)})"
        elif new is Word.ABSENT:
            yield f"{words} removed from {name!r} ({shown(old)})"
        else:
            yield f"{words} of {name!r}: {from_to(old, new)}"


def from_to(before: Any, after: Any) -> str:
    """``tensor [2, 3] -> None``"""
    old, new = shown(before), shown(after)
    return f"{old} -> another {new}" if old == new else f"{old} -> {new}"


def kind(tensor: Tensor) -> str:
    """``tensor [2, 3] float32 on cpu``"""
    return f"{shown(tensor)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def told(error: BaseException | None) -> str:
    """``ValueError: too small``; its class alone where it can't say more."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__'s
        return type(error).__name__


def shown(value: Any) -> str:
    """A few words for any object."""
    if isinstance(value, Word):
        return value.value
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        module = getattr(value, "__module__", None)  # methods written in C have none
        return value.__qualname__ if module is None else f"{module}.{value.__qualname__}"
    if isinstance(value, (list, set, dict, deque)):
        return f"{type(value).__name__} of {len(value)}"
    try:
        text = repr(value)
    except Exception:  # its own __repr__'s
        return f"{type(value).__name__} object"
    return text if len(text) <= 60 else f"{type(value).__name__} object"
