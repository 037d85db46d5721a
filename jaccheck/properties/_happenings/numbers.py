"""Other numbers in the input and in the parameters."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from jaccheck._errors import InvalidProblem
from jaccheck.properties._copies import copied
from jaccheck.properties._happenings._step import step
from jaccheck.properties._stage import Stage


@step("other_input")
def other_input(stage: Stage) -> None:
    if not stage.x.is_contiguous() or stage.x.is_neg():
        raise InvalidProblem("the input is the user's own")
    stage.x.copy_(stage.x.neg().roll(1, 0))
    stage.changed()


@step("one_sample")
def one_sample(stage: Stage) -> None:
    if not stage.x.is_contiguous() or stage.x.is_neg() or not len(stage.x):
        raise InvalidProblem("the input is the user's own, or empty")
    last = stage.x.data[-1]
    last.copy_(last.flatten().neg().roll(1).view(last.shape))
    stage.changed()


@step("update")
def update(stage: Stage) -> None:
    with torch.no_grad():
        for p in stage.model.parameters():
            p.mul_(-0.5)
    stage.changed()


@step("update_one")
def update_one(stage: Stage) -> None:
    p = stage.chance.choice([p for p in stage.model.parameters() if p.numel()])
    last = tuple(size - 1 for size in p.shape)
    with torch.no_grad():
        p[last] = 1 - p[last]
    stage.changed()


@step("small_update")
def small_update(stage: Stage) -> None:
    with torch.no_grad():
        p = stage.chance.choice([*stage.model.parameters()])
        p.mul_(1 + 2 * torch.finfo(p.dtype).eps)
    stage.changed()


@step("update_data")
def update_data(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.data.copy_(p.data.flatten().roll(1).view(p.shape))  # so that no sum or norm tells of it either
    stage.changed()


@step("new_memory")
def new_memory(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.data = p.detach().neg()
    stage.changed()


@step("load")
def load(stage: Stage) -> None:
    stage.original()


@step("new_parameters")
def new_parameters(stage: Stage) -> None:
    if any(p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None) for p in stage.model.parameters()):
        raise InvalidProblem("the user's hooks are on the old ones")
    others = {id(p): nn.Parameter(p.detach().neg(), requires_grad=p.requires_grad) for p in stage.model.parameters()}
    for module in stage.model.modules():
        for name, p in module._parameters.items():
            if p is not None:
                module._parameters[name] = others[id(p)]
    stage.changed()


@step("new_module")
def new_module(stage: Stage) -> None:
    """Of the same class, with other numbers; nobody else has its parameters."""
    uses = Counter(p for module in stage.model.modules() for p in module._parameters.values() if p is not None)
    places = [
        (parent, name, child)
        for parent in stage.model.modules()
        for name, child in parent._modules.items()
        if child is not None and child._parameters and not child._modules
        if all(uses[p] == 1 for p in child.parameters())
    ]
    if not places or stage.extended():
        raise InvalidProblem("there is no layer that could be replaced")
    _, _, old = stage.chance.choice(places)
    new = copied(old)
    with torch.no_grad():
        for p in new.parameters():
            p.neg_()
    _replace(old, new, places)
    if not stage.is_as_fresh():
        _replace(new, old, places)
        raise InvalidProblem("the model keeps its layers in other places, too")
    stage.changed()


def _replace(old: nn.Module, new: nn.Module, places: list[tuple[nn.Module, str, nn.Module]]) -> None:
    for parent, name, _ in places:
        if parent._modules[name] is old:
            parent._modules[name] = new


@step("grad")
def grad(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.grad = torch.ones_like(p)
