"""Copies of models, used ones too."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem
from jaccheck.judging.graph import variables
from jaccheck.paths._path import leaf


def copied(model: nn.Module) -> nn.Module:
    """A copy of `model`, in which results of operations (BackPACK's record of a layer's input, say) are detached.

    Raises:
        InvalidProblem: it can't be copied.
    """
    results = [
        value
        for module in model.modules()
        for value in (*vars(module).values(), *module._buffers.values())
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    memo: dict[int, Any] = {id(result): result.detach() for result in results}
    try:
        with torch.no_grad():  # else parameters of what torch.jit has compiled go on depending on the original's
            copy = deepcopy(model, memo)
    except Exception as error:  # the user's own classes
        raise InvalidProblem(f"the model can't be copied: {error}") from error
    for ours, theirs in zip(copy.parameters(), model.parameters(), strict=False):
        ours.requires_grad_(theirs.requires_grad)
    return copy


def copied_from(problem: Problem) -> nn.Module:
    """A copy of the problem's model that has nothing to do with it any more.

    Raises:
        InvalidProblem: it can't be copied, or keeps functions that go on using the original.
    """
    model = copied(problem.model)
    if any(_keeps_functions(module) for module in model.modules()):
        with torch.inference_mode(False), torch.enable_grad(), problem.chance():
            f = model(leaf(problem.x))
        theirs = {id(p) for p in problem.model.parameters()}
        problem.before.restore()
        if any(id(variable) in theirs for variable in variables(f)):
            raise InvalidProblem("a copy of the model still uses the original: a function that it keeps is bound to it")
        model = copied(problem.model)  # which hasn't been called yet
    return model


def _keeps_functions(module: nn.Module) -> bool:
    return any(isinstance(value, (FunctionType, MethodType, partial)) for value in vars(module).values())
