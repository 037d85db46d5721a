"""Hooks as Python source: those that a network describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from jaccheck import _history
from jaccheck.reproducer._errors import NoReproducer

SOURCES: dict[Callable[..., Any], tuple[str, str]] = {
    _history.look: ("look", "def look(*seen):\n    pass"),
    _history.retain: (
        "retain",
        "def retain(module, args, output):\n    if output.requires_grad:\n        output.retain_grad()",
    ),
    _history.copied: ("copied", "def copied(module, args, output):\n    return output.clone()"),
}
_ON_MODULES = {
    "_forward_pre_hooks": "register_forward_pre_hook",
    "_forward_hooks": "register_forward_hook",
    "_backward_pre_hooks": "register_full_backward_pre_hook",
    "_backward_hooks": "register_full_backward_hook",
}
_ON_PARAMETERS = {
    "_backward_hooks": "register_hook",
    "_post_accumulate_grad_hooks": "register_post_accumulate_grad_hook",
}


def hook_lines(model: nn.Module, place: Callable[[str], str], functions: dict[str, str]) -> Iterator[str]:
    """The lines that register the model's hooks; the source of what they call is added to `functions`, by name.

    Raises:
        NoReproducer: it has others.
    """
    for name, module in model.named_modules():
        where = f"{name or 'the model'!r} ({type(module).__name__})"
        yield from _registered(module, _ON_MODULES, where, place(name), functions)
    for name, p in model.named_parameters():
        yield from _registered(p, _ON_PARAMETERS, f"parameter {name!r}", place(name), functions)


def _registered(owner: Any, kinds: dict[str, str], where: str, place: str, functions: dict[str, str]) -> Iterator[str]:
    for hooks, register in kinds.items():
        for hook in (getattr(owner, hooks, None) or {}).values():
            if hook not in SOURCES:
                raise NoReproducer(f"{where} has hooks, which only their own source can make")
            name, source = SOURCES[hook]
            functions[name] = source
            yield f"{place}.{register}({name})"
