"""Backward passes of the user's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jaccheck._attributes import Attributes, kept
from jaccheck._errors import InvalidProblem
from jaccheck.properties._happenings._step import step
from jaccheck.properties._stage import Stage, quietly


@step("backward")
def backward(stage: Stage) -> None:
    _backward(stage)


@step("backward_after")
def backward_after(stage: Stage) -> str | None:
    """The user's own gradients are what they are without any path, too."""
    if stage.extended():
        raise InvalidProblem("the model has BackPACK's hooks")
    expected = _expected(stage)
    f = output(stage, stage.model)
    stage.changed()  # perhaps, by itself
    stage.call()
    got = _gradients(f, stage.model)
    for name, gradient in got.items():
        if not torch.equal(gradient.nan_to_num(), expected[name].nan_to_num()):
            return f"after a call, the user's own gradient of {name!r}, of a graph from before it, is another one"
    return None


def _expected(stage: Stage) -> dict[str, Tensor]:
    """The gradients of a graph from before another forward pass, which may write to what the graph needs."""
    model = stage.fresh_model()
    f = output(stage, model)
    output(stage, model)
    try:
        return _gradients(f, model)
    except RuntimeError as error:
        raise InvalidProblem(f"the model writes to what the backward pass of an earlier call needs: {error}") from error


@step("zero_grad")
def zero_grad(stage: Stage) -> None:
    _backward(stage)
    stage.call()
    stage.model.zero_grad(set_to_none=False)


def _backward(stage: Stage) -> None:
    if not stage.extended():  # BackPACK's hooks run in each backward pass, and not all models are for it
        f = output(stage, stage.model)
        stage.changed()  # perhaps, by itself
        if f is not None:
            with quietly():
                f.backward()  # type: ignore[no-untyped-call]


def _gradients(f: Tensor | None, model: nn.Module) -> dict[str, Tensor]:
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if f is None:
        return {}
    with quietly():
        found = torch.autograd.grad(f, list(parameters.values()), allow_unused=True)
    return {name: g for name, g in zip(parameters, found, strict=True) if g is not None}


def output(stage: Stage, model: nn.Module) -> Tensor | None:
    """The sum of the output, if there is anything to differentiate. What the model keeps of it isn't left behind."""
    with torch.enable_grad(), stage.problem.chance(), kept(map(Attributes, model.modules())):
        f = model(stage.x).sum()
    return f if f.requires_grad else None
