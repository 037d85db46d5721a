"""Whether a model's backward pass is that of its calls: where it isn't, no path is to blame for following it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from jaccheck._culprit import described
from jaccheck._problem import Problem
from jaccheck._same import same
from jaccheck.enclosure import Oracle
from jaccheck.judging.graph import nodes, variables
from jaccheck.paths._path import leaf

Gradients = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class OwnBackward:
    """Of one output, a derivative that isn't what follows from the model's calls."""

    reason: str
    """In words."""
    touched: Mapping[str, Tensor]
    """``[*p.shape]``: which of its elements have another value than they would have; for others there is no excuse."""


def own_backward(problem: Problem, oracle: Oracle, n: int, c: int) -> OwnBackward | None:
    """Why the derivative of f(x)[n, c] isn't what follows from the model's calls; None if it is.

    A gradient hook, a function with a backward of its own, or a forward that switches gradients off leave f(x) as it
    is, so that the enclosure of the output can't tell. Here autograd goes through the model as it is, and through its
    calls one by one without hooks; only if it gives two different results, each of them twice, and that of the calls
    lies in the enclosure, is it the model's doing: a defect of autograd, or of the layers, shows in both.
    """
    try:
        own, plain, own_again, plain_again = _twice(problem, oracle, slice(None), n, c)
        if not all(gradient.isfinite().all() for gradient in plain.values()):  # that may be another sample's doing
            own, plain, own_again, plain_again = _twice(problem, oracle, slice(n, n + 1), 0, c)
    except Exception:  # whatever it is, it says nothing of the model's derivative
        return None
    finally:
        problem.before.restore()
    touched = _different(own, plain)
    if not any(map(Tensor.any, touched.values())):
        return None
    if any(map(Tensor.any, (*_different(own, own_again).values(), *_different(plain, plain_again).values()))):
        return None
    for name, gradient in plain.items():
        ball = oracle.rows(name, slice(n, n + 1), slice(c, c + 1))
        if ball.excludes(gradient[None, None]).any():
            return None
    reasons = list(dict.fromkeys(_reasons(problem)))
    perhaps = f", perhaps because {', '.join(reasons)}" if reasons else ""
    return OwnBackward(f"the model's backward pass isn't that of its calls{perhaps}", touched)


def not_differentiable(problem: Problem) -> str | None:
    """In words, what torch raises where it should differentiate the model by itself; None if it can."""
    try:
        with torch.inference_mode(False), torch.enable_grad(), problem.chance():
            _named(problem.model(leaf(problem.x)).sum(), problem.parameters)
    except Exception as error:
        return f"torch itself can't differentiate the model: {type(error).__name__}: {error}"
    finally:
        problem.before.restore()
    return None


def _twice(problem: Problem, oracle: Oracle, samples: slice, n: int, c: int) -> list[Gradients]:
    """The gradients of output c of the n-th of some samples: by the model, by its calls, and both again."""
    x = problem.x[samples]
    ways = (_by_model, partial(_by_calls, oracle))
    return [way(problem, x, n, c) for way in 2 * ways]


def _by_model(problem: Problem, x: Tensor, n: int, c: int) -> Gradients:
    with torch.inference_mode(False), torch.enable_grad(), problem.chance():  # each time: a forward may switch it off
        return _named(problem.model(leaf(x))[n, c], problem.parameters)


def _by_calls(oracle: Oracle, problem: Problem, x: Tensor, n: int, c: int) -> Gradients:
    with torch.inference_mode(False), torch.enable_grad():
        parameters = problem.model.parameters()
        copies = {id(p): nn.Parameter(p.detach().clone(), requires_grad=p.requires_grad) for p in parameters}
        f = oracle.replayed(x, lambda t: copies.get(id(t), t.detach()))[n, c]
        return _named(f, {name: copies[id(p)] for name, p in problem.parameters.items()})


def _named(f: Tensor, parameters: Mapping[str, Tensor]) -> Gradients:
    if not f.requires_grad:
        return {name: torch.zeros_like(p) for name, p in parameters.items()}
    found = torch.autograd.grad(f, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if gradient is None else gradient.detach()
        for (name, p), gradient in zip(parameters.items(), found, strict=True)
    }


def _different(one: Gradients, other: Gradients) -> dict[str, Tensor]:
    return {name: ~same(g, other[name]) for name, g in one.items()}


def _reasons(problem: Problem) -> Iterator[str]:
    """What may be behind it."""
    for name, p in problem.model.named_parameters():
        if p._backward_hooks:
            yield f"{name!r} has a gradient hook"
    for name, module in problem.model.named_modules():
        if module._backward_hooks or module._backward_pre_hooks:
            yield f"{described(module, name)} has a backward hook"
        if module._forward_hooks or module._forward_pre_hooks:
            yield f"{described(module, name)} has a forward hook"
    with torch.inference_mode(False), torch.enable_grad():
        f = problem.model(leaf(problem.x))
    problem.before.restore()
    for node in nodes(f):
        function: type | None = getattr(type(node), "_forward_cls", None)  # of one that is written in Python
        if function is not None and function.__module__.partition(".")[0] not in ("torch", "backpack"):
            yield f"{function.__name__} has a backward of its own"
    reached = {id(variable) for variable in variables(f)}
    for name, parameter in problem.parameters.items():
        if id(parameter) not in reached:
            yield f"{name!r} is used where gradients are switched off, or detached"
