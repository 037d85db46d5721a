"""Networks with many activations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._containers import Layer
from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck._values import DTYPES, Values

from .activations import activations
from .targets import computes, targets

MOST_SAMPLES = 4


def in_a_row(*, dtypes: Sequence[str] = DTYPES, devices: Sequence[str] | None = None) -> SearchStrategy[Network]:
    """Networks of many different activations, each behind a `Linear` of one unit, with up to four samples.

    Of `networks` each has two or three: what is wrong with a single one shows late. Every second row has the eight that
    BackPACK has rules for, the others all the rest, as far as this torch computes them, in any order. They shrink to
    the eight, with torch's own parameters, and one sample in float64 on the CPU.

    Args:
        dtypes, devices: names; devices None means the CPU and each CUDA device there is.
    Raises:
        InvalidArgument: a name is unknown.
    """
    every = targets(dtypes, devices)

    @st.composite  # not builds(), which would be shown as a call
    def network(draw: st.DrawFn) -> Network:
        dtype, device = draw(st.sampled_from(every))
        among = draw(st.sampled_from((CORE, tuple(name for name in ACTIVATIONS if name not in CORE))))
        names = [name for name in among if computes(name, dtype, device)]
        seed = draw(st.integers(0, 2**16 - 1))
        row = [draw(activations((name,))) for name in Random(seed).sample(names, len(names))]
        layers: list[Layer] = []
        for i, activation in enumerate(row):
            numbers = Values("uniform", seed=seed + 2 * i), Values("uniform", seed=seed + 2 * i + 1)
            layers += [Linear(1, *numbers), activation]
        batch, x = draw(st.integers(1, MOST_SAMPLES)), Values("uniform", seed=seed)
        return Network(tuple(layers), batch=batch, x=x, dtype=dtype, device=device)

    return network()
