"""What makes a model do other than its graph says."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize

from jaccheck._capabilities import autocasts
from jaccheck.enclosure.rules import known_as, rules

_GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks")


def doubts(model: nn.Module) -> list[str]:
    """Reasons why the model's values may not be those of its layers, in words; empty if none shows."""
    found = []
    for name, module in model.named_modules():
        where = f"{name or 'the model'} ({type(module).__name__})"
        if module._forward_hooks or module._forward_pre_hooks:
            found.append(f"{where} has a forward hook")
        if "forward" in vars(module):
            found.append(f"{where} has a forward of its own")
        elif known_as(type(module)) is None and any(issubclass(type(module), layer) for layer in _layers()):
            found.append(f"{where} is a subclass with a forward of its own")
        if parametrize.is_parametrized(module):
            found.append(f"{where} is parametrized")
    if any(getattr(nn.modules.module, hooks) for hooks in _GLOBAL_HOOKS):
        found.append("a forward hook is registered for all modules")
    if any(autocasts(device) for device in ("cpu", "cuda")):
        found.append("autocast is on")
    return found


def _layers() -> list[type]:
    return [target for target in rules() if isinstance(target, type)]
