"""A row depends on its own sample and class alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import frexp, inf, ldexp, nan

import torch
from torch import nn

from jaccheck._problem import Problem, admit
from jaccheck.judging.judge import Judge
from jaccheck.properties._activations import linear
from jaccheck.properties._chance import chance
from jaccheck.properties._variants import Take, Variant, Varied

MANY = (17, 17, 33, 65, 129, 257, 9, 16, 32, 64, 128, 256, 21, 27, 40, 48, 100, 200)
"""Samples: where kernels and loops over pieces change, and elsewhere; which of them, the problem decides."""
MOST_ROWS = 300  # N C up to which a batch is enlarged to so many samples: some paths take a pass for each row
MOST_ENTRIES = 2**15  # of the Jacobian, likewise


class Batching(Varied):
    """Permuting, repeating, splitting, adding and overwriting samples does just that to the Jacobian.

    Equal bits aren't owed, since kernels change with the shape of the batch; but the enclosure of a row knows of no
    other row, so that each has to lie in that of its sample, in whatever company. A NaN may show in its own row alone,
    and where one class overflows, or is among the smallest numbers, no other does.
    """

    name = "batching"
    nothing = "there are no samples"

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        N = problem.N
        if not N:
            return
        yield from _shuffled(problem)
        if N > 1:
            yield partial(_split, problem, N // 2)
        yield partial(_enclosed, problem, nan)
        if N > 1:
            yield partial(_overwritten, problem, inf)
        if problem.C > 1:
            yield partial(_class_enlarged, problem)
        yield partial(_class_diminished, problem)


def _shuffled(problem: Problem) -> Iterator[Callable[[], Variant]]:
    """All samples in another order over and over, twice or until there are many."""
    N, x = problem.N, problem.x.detach()
    most = min(MOST_ROWS, MOST_ENTRIES // max(problem.size, 1)) // problem.C
    size = chance(problem).choice([many for many in MANY if 2 * N < many <= most] or [2 * N])
    order = [(N // 2 - n) % N for n in range(size)]
    held: list[Problem] = []

    def variant(rows: Sequence[int]) -> Variant:
        if not held:
            held.append(admit(problem.model, x[order]))
        takes = [Take(held[0], rows, [order[row] for row in rows])]
        return Variant(f"with {size} samples, x[{_listed(order)}]", takes, alike=True)

    yield partial(variant, range(N))
    yield partial(variant, range(size - N, size))


def _split(problem: Problem, k: int) -> Variant:
    x = problem.x.detach()
    takes = [
        Take(admit(problem.model, part), range(len(part)), samples)
        for part, samples in ((x[:k], range(k)), (x[k:], range(k, len(x))))
    ]
    return Variant(f"with x[:{k}] and x[{k}:] apart", takes, alike=True)


def _enclosed(problem: Problem, value: float) -> Variant:
    """By three others, so that an even number becomes odd."""
    x, every = problem.x.detach(), range(problem.N)
    other = torch.full_like(x[:1], value)
    more = admit(problem.model, torch.cat((other, x, other, other)))
    return Variant(f"between samples of {value}", [Take(more, range(1, problem.N + 1), every)])


def _overwritten(problem: Problem, value: float) -> Variant:
    """The row of the sample that is overwritten is taken from where another one is."""
    kept = {problem.N - 1: range(problem.N - 1), 0: [problem.N - 1]}
    takes = []
    for m, rows in kept.items():
        x = problem.x.detach().clone(memory_format=torch.contiguous_format)
        x[m] = value
        takes.append(Take(admit(problem.model, x), rows, rows))
    return Variant(f"with {value} for x[{problem.N - 1}]; its own row with {value} for x[0]", takes)


def _class_enlarged(problem: Problem) -> Variant:
    """Twice, so that it overflows; not times infinity, which times 0 is NaN in other rows."""
    _, exponent = frexp(torch.finfo(problem.dtype).max)
    return _class_scaled(problem, exponent - 1, times=2)


def _class_diminished(problem: Problem) -> Variant:
    """So that numbers of ordinary size are in the middle of the subnormals."""
    finfo = torch.finfo(problem.dtype)
    _, lowest = frexp(finfo.smallest_normal)
    _, bits = frexp(finfo.eps)
    return _class_scaled(problem, lowest - 1 + bits // 2)


def _class_scaled(problem: Problem, exponent: int, times: int = 1) -> Variant:
    c = chance(problem).randrange(problem.C)
    factors = torch.eye(problem.C, dtype=torch.float64, device=problem.device)
    factors[c, c] = ldexp(1.0, exponent)
    layers = [linear(factors.to(problem.dtype), None) for _ in range(times)]
    scaled = admit(nn.Sequential(problem.model, *layers), problem.x)
    every = range(problem.N)
    words = f"with class {c} times 2**{times * exponent}"
    return Variant(words, [Take(scaled, every, every)], Judge(scaled), prefix="0.")


def _listed(order: Sequence[int]) -> str:
    return str(list(order)) if len(order) <= 12 else f"[{', '.join(map(str, order[:5]))}, …]"
