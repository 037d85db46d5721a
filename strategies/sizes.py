"""How wide, how many: the sizes of networks, small ones first and mostly.

How often an entry stands in a table is how often it is drawn, as long as there are at most 256 of them: Hypothesis
draws larger integers less often.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import prod

Shape = tuple[int, ...]


def widths(max_width: int) -> list[int]:
    """Widths of layers."""
    often = {1: 44, 2: 44, 3: 44, 4: 44, 5: 20, 6: 20, 7: 20, 8: 20} | dict.fromkeys(range(9, 17), 4)
    often |= dict.fromkeys(range(17, 65), 1) | dict.fromkeys(_near_powers(15, max_width), 3)
    return _repeated(often, 1, max_width)


def outputs(max_width: int) -> list[int]:
    """C: smaller than other widths, since the loop over the outputs is what takes time."""
    often = {1: 40, 2: 56, 3: 46, 4: 26, 5: 18, 6: 10, 7: 10, 8: 10, 9: 4, 10: 10} | dict.fromkeys(range(11, 17), 3)
    return _repeated(often | dict.fromkeys(_near_powers(17, max_width), 1), 1, max_width)


def batches(min_batch: int, max_batch: int) -> list[int]:
    """N; 0 comes last, being no simpler than 1."""
    often = {1: 12, 2: 12, 3: 8, 4: 8, 5: 2, 6: 2, 7: 2, 8: 2} | dict.fromkeys(range(9, 18), 2)
    often |= dict.fromkeys(_near_powers(18, max_batch), 1)
    often.setdefault(min_batch, 1)
    often.setdefault(max_batch, 1)
    return _repeated(often, max(min_batch, 1), max_batch) + ([0] * 4 if min_batch == 0 else [])


def inputs(max_width: int) -> list[Shape]:
    """Shapes of one sample: mostly ``(width,)``, every sixth of a higher rank."""
    flat: list[Shape] = [(width,) for width in widths(max_width)]
    small: list[Shape] = [(1, 1), (2, 1), (1, 2), (2, 2), (2, 3), (3, 2), (1, 1, 1), (2, 1, 2), (2, 2, 2), (4, 4)]
    higher = [shape for shape in small if prod(shape) <= max_width]
    return sorted(flat + higher * (1 + len(flat) // (5 * len(higher))), key=lambda shape: (prod(shape), len(shape)))


def _near_powers(low: int, high: int) -> list[int]:
    """Powers of two and their neighbours: kernels change over there."""
    return [2**k + offset for k in range(high.bit_length()) for offset in (-1, 0, 1) if low <= 2**k + offset <= high]


def _repeated(often: dict[int, int], low: int, high: int) -> list[int]:
    return [number for number in sorted(often) if low <= number <= high for _ in range(often[number])]


def fitted(
    batch: int,
    inputs: Shape,
    widths: list[int],
    *,
    min_batch: int,
    max_outputs: int,
    max_jacobian: int,
    twice: Sequence[bool] = (),
) -> tuple[int, Shape, list[int]]:
    """The same, halved here and there until ``N C`` and ``N C P`` keep to their limits; a width of 0 is the one before.

    Every halving makes one of them smaller, down to `min_batch` and 1, where the limits must hold. Layers that are
    there `twice` have twice the parameters.
    """
    while True:
        width, parameters = prod(inputs), 0
        for own, double in zip_longest(widths, twice, fillvalue=False):
            parameters += (own or width) * (width + 1) * (2 if double else 1)
            width = own or width
        outputs = max(batch, 1) * width
        if outputs <= max_outputs and outputs * parameters <= max_jacobian:
            return batch, inputs, widths
        rows_first = outputs > min(max_outputs, 4)  # few rows suffice, and leave room for wide layers
        if rows_first and batch // 2 >= max(min_batch, 1) and batch >= width:
            batch //= 2
            continue
        every = [prod(inputs), *widths]
        last = max(i for i, own in enumerate(every) if own)  # where C comes from
        halved = last if rows_first and width > 1 else every.index(max(every))
        if every[halved] == 1:
            batch = max(batch // 2, min_batch)
        elif halved == 0:
            inputs = (every[0] // 2,)
        else:
            widths = [own // 2 if i == halved else own for i, own in enumerate(every)][1:]
