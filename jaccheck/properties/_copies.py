"""Copies of models, used ones too."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from torch import Tensor, nn

from jaccheck._errors import InvalidProblem


def copied(model: nn.Module) -> nn.Module:
    """A copy of `model`, in which results of operations (BackPACK's record of a layer's input, say) are detached.

    Raises:
        InvalidProblem: it can't be copied.
    """
    results = [
        value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    memo: dict[int, Any] = {id(result): result.detach() for result in results}
    try:
        return deepcopy(model, memo)
    except Exception as error:  # the user's own classes
        raise InvalidProblem(f"the model can't be copied: {error}") from error
