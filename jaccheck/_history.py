"""What a user has done to a model before: hooks that look on, and an earlier use with other parts active."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ._chance import seeded
from ._errors import InvalidProblem
from ._modules import Either
from ._values import Spec, an_integer, one_of


def look(*seen: Any) -> None:
    """A hook that only looks on."""


def retain(module: nn.Module, args: Any, output: Tensor) -> None:
    if output.requires_grad:
        output.retain_grad()


def copied(module: nn.Module, args: Any, output: Tensor) -> Tensor:
    return output.clone()


_ON_MODULES: dict[str, Callable[[nn.Module], object]] = {
    "forward": lambda module: module.register_forward_hook(look),
    "forward_pre": lambda module: module.register_forward_pre_hook(look),
    "backward": lambda module: module.register_full_backward_hook(look),
    "backward_pre": lambda module: module.register_full_backward_pre_hook(look),
    "retain_grad": lambda module: module.register_forward_hook(retain),
    "clone": lambda module: module.register_forward_hook(copied),
}
_ON_PARAMETERS: dict[str, Callable[[Tensor], object]] = {
    "gradient": lambda p: p.register_hook(look),  # type: ignore[no-untyped-call]
    "accumulate_grad": lambda p: p.register_post_accumulate_grad_hook(look),  # type: ignore[no-untyped-call]
}
HOOKS = (*_ON_MODULES, *_ON_PARAMETERS)


@dataclass(frozen=True, repr=False)
class Hook(Spec):
    """A hook of the user's that changes no value.

    On the modules of a model: before and after their forward and backward passes; one that retains the gradient of
    what a module gives, one that gives a copy of it. On its parameters that require grad: on their gradients.
    """

    kind: str = "forward"  # one of `HOOKS`
    at: int = 0  # which module or parameter, modulo how many there are

    def __post_init__(self) -> None:
        one_of("kind", self.kind, HOOKS)
        an_integer("at", self.at, 0, 2**31)

    def register(self, model: nn.Module) -> None:
        if self.kind in _ON_MODULES:
            modules = list(model.modules())
            _ON_MODULES[self.kind](modules[self.at % len(modules)])
            return
        parameters = [p for p in model.parameters() if p.requires_grad]
        if parameters:
            _ON_PARAMETERS[self.kind](parameters[self.at % len(parameters)])


USES = ("", "autograd", "backpack")
"""How a model has been used before: not at all, by a backward pass, by one under BackPACK, which stays extended."""


def use(model: nn.Module, x: Tensor, how: str) -> None:
    """Leave behind what an earlier backward pass does, in which other parts of the model were active.

    Each `Either` took its other part, and all parameters required grad.

    Raises:
        InvalidProblem: BackPACK isn't installed.
    """
    frozen = [p for p in model.parameters() if not p.requires_grad]
    choices = [module for module in model.modules() if isinstance(module, Either)]
    for module in choices:
        module.active = 1
    for p in frozen:
        p.requires_grad_()
    with seeded(0, x.device), torch.enable_grad():
        if how == "backpack":
            _under_backpack(model, x)
        else:
            model(x.requires_grad_()).sum().backward()  # there may be no parameters
    for module in choices:
        module.active = 0
    for p in frozen:
        p.requires_grad_(False)


def extend(model: nn.Module) -> None:
    """As a user of BackPACK does, for good.

    Raises:
        InvalidProblem: BackPACK isn't installed.
    """
    try:
        import backpack
    except ImportError as error:
        raise InvalidProblem(f"a model can't be extended by BackPACK: {error}") from error
    backpack.extend(model)
    weakref.finalize(model, _let_go, [weakref.ref(module) for module in model.modules()]).atexit = False


def _under_backpack(model: nn.Module, x: Tensor) -> None:
    extend(model)
    from backpack import backpack
    from backpack.extensions import BatchGrad

    with backpack(BatchGrad(), retain_graph=True), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Extension saving to grad_batch does not have an extension for Module"
        )
        model(x.requires_grad_()).sum().backward()


def _let_go(modules: list[weakref.ref[nn.Module]]) -> None:
    """Of a model that is gone, the outputs that BackPACK has kept on its layers.

    The hooks of their graphs hold the layers where the garbage collector doesn't look: all would stay for ever.
    """
    for module in filter(None, (reference() for reference in modules)):
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and value.grad_fn is not None:
                delattr(module, name)
