"""Which layer of a model an exception comes from."""

from __future__ import annotations

from torch import nn


def culprit(model: nn.Module, error: BaseException) -> str:
    """The layer of `model` at work when `error` was raised, as ``'body.act' (GELU)``."""
    names = {id(module): name for name, module in model.named_modules()}
    found = model
    traceback = error.__traceback__
    while traceback is not None:
        variables = traceback.tb_frame.f_locals
        for candidate in (variables.get("self"), variables.get("module")):  # a forward pass, a hook
            if isinstance(candidate, nn.Module) and id(candidate) in names:
                found = candidate
        traceback = traceback.tb_next
    return described(found, names[id(found)])


def described(layer: nn.Module, name: str) -> str:
    """``'body.act' (GELU)``, or ``the model (Net)`` for the outermost."""
    return f"{name!r} ({type(layer).__name__})" if name else f"the model ({type(layer).__name__})"
