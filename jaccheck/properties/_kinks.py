"""Where an activation's derivative jumps: there the enclosure allows either side, and exactness decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem, admit

OUTPUTS = 2  # with one sample, N C = 2: a number for which mean reduction is exact, too


def at_kinks(
    activations: Mapping[str, tuple[Callable[[], nn.Module], tuple[float, ...]]], like: Tensor
) -> Iterator[tuple[str, Problem]]:
    """For each activation that has kinks, by what it is called, a problem whose arguments are these and a few more.

    ``f(0)[c] = Σ φ(b)`` for both outputs c, so that ``∂f[c]/∂b = φ'(b)``.
    """
    for words, (make, kinks) in activations.items():
        arguments = torch.tensor([*kinks, 2.0, -2.0], dtype=torch.float64, device=like.device).to(like.dtype)
        if not kinks or not arguments.isfinite().all():
            continue
        first = _linear(torch.zeros_like(arguments)[:, None], arguments)
        last = _linear(torch.ones_like(arguments).expand(OUTPUTS, -1).clone(), None)
        try:
            yield words, admit(nn.Sequential(first, make(), last), torch.zeros_like(arguments[:1, None]))
        except InvalidProblem:
            continue


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer
