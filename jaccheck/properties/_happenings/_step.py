"""The steps of a sequence, each entered by the function that carries it out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from jaccheck._steps import STEPS
from jaccheck.properties._stage import Stage

Happening = Callable[[Stage], str | None]
"""It may say what is wrong by itself; it raises InvalidProblem where it can't happen to this model."""
HAPPENINGS: dict[str, Happening] = {}
"""One for each of `STEPS`."""

OTHER = {
    torch.float64: torch.float32,
    torch.float32: torch.float64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}
"""Where a model is moved for a while; the way back is exact but for float64."""


def step(name: str) -> Callable[[Happening], Happening]:
    def entered(function: Happening) -> Happening:
        HAPPENINGS[name] = function
        return function

    return entered


def during(name: str) -> str:
    return f"during {STEPS[name]}"


def taking_hooks(model: nn.Module) -> list[nn.Module]:
    """Its modules but for those that torch.jit has compiled."""
    return [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
