"""Sizes make no difference, though kernels change with them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from math import log2, prod

import torch
from torch import Tensor, nn

from jaccheck._layers import EDGES
from jaccheck._problem import Problem, admit
from jaccheck.judging.judge import Judge
from jaccheck.properties._activations import chosen, linear, ordinary
from jaccheck.properties._chance import chance
from jaccheck.properties._variants import Take, Variant, Varied

LARGE = (384, 511, 512, 513, 640, 768, 896, 1000, 1023, 1024, 1025)
"""Pieces of work end there, too."""
FEW, MOST = 32, 300
"""Other sizes are up to either of these."""
FEW_LAYERS = 2
"""In a longer row no weight is negative, and their size and the biases keep arguments and slopes of ordinary size:
where nothing cancels or grows, what is rounded stays small beside the Jacobian."""
UNITS = ((7, 8, 9), (15, 16, 17), (31, 32, 33), (63, 64, 65))
"""Of the layers between which each activation stands, few in a row, since each widens the enclosure."""
EACH = sorted({*range(4, FEW + 1), *EDGES})
"""All are numbers of features and units, three in a row, which takes one pass; some of them are that of samples, others
that of outputs, each of which takes one."""
MANY = 100
ALIKE = (3,) * 13
"""Of layers that differ in nothing but their place, and number more than ten."""
PERIOD = 37
"""After so many, a tensor's numbers begin again, so that a few lines hold them. It divides no edge: rows differ."""


class Sizes(Varied):
    """Models of the problem's `ordinary` activations with layers of other sizes have the right Jacobian.

    Each activation stands between layers of all of `UNITS`, with the Jacobian of the biases. Then there are two layers
    around one of the activations, with the Jacobian of everything and a single number of features, units or outputs
    that isn't small, so that no path takes long: one of `EDGES` or `LARGE`, or any other up to `FEW` or `MOST`; the
    problem decides. Then some of `EACH`, the problem decides which, are the number of samples; then another layer has
    many units, over which the first one's Jacobian is a sum; then some are the number of the outputs of a layer alone;
    then there is much of several at once (`_many`). Then there are twelve layers `ALIKE`, without biases; then each of
    `EACH` is a number of features or units, three in a row. A path that goes forward, and takes a pass for each
    parameter, isn't asked of the largest.
    """

    name = "sizes"
    itself = False

    def made(self, problem: Problem) -> Iterator[Callable[[], Variant]]:
        every = ordinary(problem)
        numbers = chance(problem)
        words, make = chosen(every, numbers)
        for place in range(3):
            units = [numbers.randint(1, 3) for _ in range(3)]
            last = place == 2
            units[place] = _size(numbers, seldom=last)
            yield partial(_variant, words, make, problem, units, N=1 if last else numbers.randint(1, 3))
        features, hidden, outputs = (numbers.randint(1, 3) for _ in range(3))
        for N in _some(numbers, large=6):
            yield partial(_variant, words, make, problem, (features, hidden, _few(numbers, N)), N=N)
        yield partial(_variant, words, make, problem, (features, hidden, numbers.choice(LARGE), outputs))
        for C in _some(numbers, large=3):
            yield partial(_variant, words, make, problem, (features, C), N=_few(numbers, C), closed=True)
        for several, N in _many(numbers):
            yield partial(_variant, words, make, problem, several, N=N)
        yield partial(_variant, words, make, problem, ALIKE, bias=False)
        sizes = iter(numbers.sample(EACH, len(EACH)))
        for row in zip(sizes, sizes, sizes, strict=True):
            yield partial(_variant, words, make, problem, (*row, 1))
        for words, found in every.items():
            for row in UNITS:
                yield partial(_variant, words, found.make, problem, (1, *row, 1), frozen=True)


def _some(numbers: random.Random, *, large: int) -> list[int]:
    """A third of `EACH` up to `MANY`, and so many of those above."""
    few, many = ([size for size in EACH if (size > MANY) == above] for above in (False, True))
    return numbers.sample(few, len(few) // 3) + numbers.sample(many, large)


def _few(numbers: random.Random, beside: int) -> int:
    """Samples or outputs, so few that it takes no long time."""
    return numbers.randint(1, 4 if beside < 10 else 2) if beside <= FEW else 1


def _size(numbers: random.Random, *, seldom: bool = False) -> int:
    """With `seldom`, one of `LARGE` comes less often: each output takes a pass."""
    kinds: list[Sequence[int]] = [EDGES, range(4, FEW + 1), range(4, MOST + 1), LARGE]
    (sizes,) = numbers.choices(kinds, (6, 1, 2, 1) if seldom else (2, 1, 1, 1))
    return numbers.choice(sizes)


def _many(numbers: random.Random) -> Iterator[tuple[list[int], int]]:
    """Units and N, of which several together are so many that a library may go piece by piece."""
    among = numbers.randint
    yield [among(75, 96), among(75, 96), among(1, 3)], among(5, 40)
    yield [among(1, 2), among(1, 3), among(9, 17)], among(33, 64)
    yield [among(65, 73), among(1, 3), among(1, 2)], among(65, 96)
    yield numbers.choice((([1, 2, 2], among(551, 575)), ([2, 1, 1], numbers.choice(LARGE))))
    yield [among(128, 144), among(128, 144), 4], 16  # over 2²⁰ entries


def _dyadics(numbers: random.Random, *shape: int, size: float = 1.0, positive: bool = False) -> Tensor:
    """Short dyadics of about such a size, in float64."""
    least, most = (1, 15) if positive else (-7, 7)
    few = torch.tensor(numbers.choices(range(least, most + 1), k=PERIOD), dtype=torch.float64, device="cpu")
    few *= 2.0 ** (round(log2(size)) + 1 - most.bit_length())
    return few.repeat(-(-prod(shape) // PERIOD))[: prod(shape)].view(shape)


def _steepness(activation: nn.Module) -> float:
    """How much it changes where arguments are of ordinary size, for each unit that they do."""
    z = torch.linspace(-2, 2, 33, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        change = float(activation(z).diff().abs().sum()) / 4
    return min(max(change, 0.25), 1.0)


def _variant(
    words: str,
    make: Callable[[], nn.Module],
    problem: Problem,
    units: Sequence[int],
    *,
    N: int = 1,
    bias: bool = True,
    frozen: bool = False,
    closed: bool = False,
) -> Variant:
    """An activation between layers of so many `units`: first the features of N samples, last the outputs.

    If `closed`, it stands behind the last layer, too.
    """
    numbers = chance(problem)
    x = a = _dyadics(numbers, N, units[0])
    long = len(units) - 1 > FEW_LAYERS
    activation = make()
    steepness = _steepness(activation) if long else 1.0
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(units):
        size = 1 / (inputs * steepness) if long else inputs**-0.5
        weight = _dyadics(numbers, outputs, inputs, size=size, positive=long)
        shift = _dyadics(numbers, outputs) if bias else None
        if long and shift is not None:
            z = a @ weight.T
            shift -= z.mean().mul(4).round() / 4
            with torch.no_grad():
                a = activation(z + shift)
        own = None if shift is None else shift.to(problem.x)
        layers += [linear(weight.to(problem.x), own, frozen=frozen), make()]
    other = admit(nn.Sequential(*layers[: None if closed else -1]), x.to(problem.x))
    rows = range(N)
    said = f"{words or 'no activation'} between layers of {', '.join(map(str, units))} units"
    return Variant(said, [Take(other, rows, rows)], Judge(other))
