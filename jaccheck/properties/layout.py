"""How numbers lie in memory makes no difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from jaccheck._problem import Problem, admit
from jaccheck.judging.judge import Judge
from jaccheck.properties._copies import copied_from
from jaccheck.properties._variants import Take, Variant, Varied

Arrange = Callable[[Tensor], Tensor]
"""The same numbers elsewhere."""


class Layout(Varied):
    """Transposed, strided, shifted, lazily negated or expanded inputs and parameters give the Jacobian of plain ones.

    The values being the same, so is the enclosure. The parameters are those of a copy of the model.
    """

    name = "layout"
    changes = "layout"

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        for x, parameters in (
            (transposed, views_of_one_buffer),
            (negated_when_read, partial(_each, transposed)),
            (shifted, partial(_each, strided)),
        ):
            yield partial(_arranged, problem, x, parameters)
        if problem.N:
            yield partial(_expanded_input, problem)
        yield partial(_expanded_parameters, problem)


def transposed(t: Tensor) -> Tensor:
    """Axes in the opposite order in memory; for images the channels last."""
    if t.dim() == 4:
        return t.contiguous(memory_format=torch.channels_last)
    back = tuple(reversed(range(t.dim())))
    return t.permute(back).contiguous().permute(back)


def strided(t: Tensor) -> Tensor:
    """Every other number in memory."""
    return torch.stack((t, torch.full_like(t, torch.nan)), dim=-1)[..., 0]


def shifted(t: Tensor) -> Tensor:
    """Behind another number, so that no vector of the processor's is aligned."""
    return torch.cat((t.new_full((1,), torch.nan), t.flatten()))[1:].view(t.shape)


def negated_when_read(t: Tensor) -> Tensor:
    """The imaginary part of a conjugate, where torch has complex numbers of the dtype: strided moreover."""
    if t.dtype not in (torch.float32, torch.float64):
        return strided(t)
    return torch.complex(torch.full_like(t, torch.nan), -t).conj().imag


def views_of_one_buffer(parameters: list[Tensor]) -> list[Tensor]:
    """Side by side, as distributed optimizers have them; not aligned."""
    sizes = [p.numel() for p in parameters]
    buffer = torch.cat([parameters[0].new_full((1,), torch.nan), *(p.flatten() for p in parameters)])
    return [part.view(p.shape) for p, part in zip(parameters, buffer[1:].split_with_sizes(sizes), strict=True)]


def _each(arrange: Arrange, parameters: list[Tensor]) -> list[Tensor]:
    return [arrange(p) for p in parameters]


def _arranged(problem: Problem, x: Arrange, parameters: Callable[[list[Tensor]], list[Tensor]]) -> Variant:
    which = parameters.args[0] if isinstance(parameters, partial) else parameters
    words = f"with x {_said(x)} and the parameters {_said(which)} in memory"
    changed = admit(_with(problem, parameters), x(problem.x.detach()))
    return Variant(words, [Take(changed, range(problem.N), range(problem.N))], alike=True)


def _said(arrange: Callable[..., object]) -> str:
    return arrange.__name__.replace("_", " ")


def _expanded_input(problem: Problem) -> Variant:
    """One sample over and over, at no cost of memory: it has the row it always has."""
    x, last = problem.x.detach(), problem.N - 1
    alone = admit(problem.model, x[last:].expand(problem.N + 1, *x.shape[1:]))
    takes = [Take(None, range(last), range(last)), Take(alone, [problem.N], [last])]
    return Variant(f"with x[{last}:] expanded to {problem.N + 1} samples", takes, alike=True)


def _expanded_parameters(problem: Problem) -> Variant:
    """The first row of each parameter for all of its rows: another problem."""
    model = _with(problem, lambda parameters: [p[:1].expand_as(p) if p.dim() else p for p in parameters])
    changed = admit(model, problem.x.detach())
    every = range(problem.N)
    takes = [Take(changed, every, every)]
    return Variant("with p[:1].expand_as(p) for each parameter p", takes, Judge(changed), alike=True)


def _with(problem: Problem, arrange: Callable[[list[Tensor]], list[Tensor]]) -> nn.Module:
    """A copy of the model with its parameters elsewhere."""
    model = copied_from(problem)
    parameters = list(model.parameters())
    with torch.no_grad():
        for p, data in zip(parameters, arrange([p.detach() for p in parameters]), strict=True):
            p.data = data
    return model
