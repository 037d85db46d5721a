"""Other numbers in the input and in the parameters."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._steps import STEPS
from jaccheck.properties._happenings._step import step
from jaccheck.properties._stage import Stage


@step("other_input")
def other_input(stage: Stage) -> None:
    if not stage.x.is_contiguous() or stage.x.is_neg():
        raise InvalidProblem("the input is the user's own")
    stage.x.copy_(stage.x.neg().roll(1, 0))
    stage.changed()


@step("one_sample")
def one_sample(stage: Stage) -> str | None:
    """What is kept as long as the other samples are the same is as wrong for a fresh model: the enclosure is asked."""
    one = _one_sample(stage)
    one.copy_(one.flatten().neg().roll(1).view(one.shape))
    stage.changed()
    return stage.compared(f"after {STEPS['one_sample']}")


@step("small_input")
def small_input(stage: Stage) -> None:
    one = _one_sample(stage)
    one.mul_(1 + 2 * torch.finfo(one.dtype).eps)
    stage.changed()


def _one_sample(stage: Stage) -> Tensor:
    """In whose memory one may write without autograd's knowledge; every second time neither the first nor the last."""
    if not stage.x.is_contiguous() or stage.x.is_neg() or not len(stage.x):
        raise InvalidProblem("the input is the user's own, or empty")
    every = range(len(stage.x))
    return stage.x.data[stage.chance.choice(stage.chance.choice((every, every[1:-1] or every)))]


@step("update")
def update(stage: Stage) -> None:
    with torch.no_grad():
        for p in stage.model.parameters():
            p.mul_(-0.5)
    stage.changed()


@step("update_one")
def update_one(stage: Stage) -> str | None:
    """First of a weight and then of a bias, where there are both: a cache may look at either alone."""
    parameters = [p for p in stage.model.parameters() if p.numel()]
    if not parameters:
        raise InvalidProblem("no parameter has any numbers")
    kinds = [[p for p in parameters if (p.dim() > 1) == is_weight] for is_weight in (True, False)]
    for number, alike in enumerate(filter(None, kinds)):
        if number and (apart := stage.compared(f"after {STEPS['update_one']}", asked=False)):
            return apart
        p = stage.chance.choice(alike)
        place = tuple(stage.chance.randrange(size) for size in p.shape)
        with torch.no_grad():
            p[place] = 1 - p[place]
        stage.changed()
    return None


@step("small_update")
def small_update(stage: Stage) -> None:
    """Of all but one: not every parameter's numbers matter, nor does every cache look at each parameter."""
    parameters = [*stage.model.parameters()]
    if len(parameters) > 1:
        parameters.pop(stage.chance.randrange(len(parameters)))
    with torch.no_grad():
        for p in parameters:
            p.mul_(1 + 2 * torch.finfo(p.dtype).eps)
    stage.changed()


@step("exchange")
def exchange(stage: Stage) -> None:
    alike = [(p, q) for p, q in combinations(stage.model.parameters(), 2) if p.shape == q.shape]
    if not alike:
        raise InvalidProblem("there are no two parameters of one shape")
    p, q = stage.chance.choice(alike)
    kept = p.detach().clone()
    with torch.no_grad():
        p.copy_(q)
        q.copy_(kept)
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


@step("grad")
def grad(stage: Stage) -> None:
    for t in (*stage.model.parameters(), stage.x):
        t.grad = torch.ones_like(t)
