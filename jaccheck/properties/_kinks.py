"""Where an activation's derivative jumps: there the enclosure allows either side, and exactness decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem, admit
from jaccheck.properties._activations import Found, linear

OUTPUTS = 2  # with one sample, N C = 2: a number for which mean reduction is exact, too


def at_kinks(activations: Mapping[str, Found], like: Tensor) -> Iterator[tuple[str, Problem]]:
    """For each activation that has kinks, by what it is called, a problem whose arguments are these and a few more.

    ``f(0)[c] = Σ φ(b)`` for both outputs c, so that ``∂f[c]/∂b = φ'(b)``.
    """
    for words, found in activations.items():
        arguments = torch.tensor([*found.kinks, 2.0, -2.0], dtype=torch.float64, device=like.device).to(like.dtype)
        if not found.kinks or not arguments.isfinite().all():
            continue
        first = linear(torch.zeros_like(arguments)[:, None], arguments)
        last = linear(torch.ones_like(arguments).expand(OUTPUTS, -1).clone(), None)
        try:
            yield words, admit(nn.Sequential(first, found.make(), last), torch.zeros_like(arguments[:1, None]))
        except InvalidProblem:
            continue
