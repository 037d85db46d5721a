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

FEWEST, MOST = 4, 14
MOST_SAMPLES = 4


def in_a_row(*, dtypes: Sequence[str] = DTYPES, devices: Sequence[str] | None = None) -> SearchStrategy[Network]:
    """Networks of several different activations, each behind a `Linear` of one unit, with up to four samples.

    Of `networks` each has two or three: what is wrong with a single one shows late. In every third row there are some
    of the eight that BackPACK has rules for, in another third of all that this torch computes, and in the others all
    of these. They shrink to four activations and one sample in float64 on the CPU.

    Args:
        dtypes, devices: names; devices None means the CPU and each CUDA device there is.
    Raises:
        InvalidArgument: a name is unknown.
    """
    every = targets(dtypes, devices)

    @st.composite  # not builds(), which would be shown as a call
    def network(draw: st.DrawFn) -> Network:
        dtype, device = draw(st.sampled_from(every))
        among, whole = draw(st.sampled_from(((CORE, False), (tuple(ACTIVATIONS), False), (tuple(ACTIVATIONS), True))))
        names = [name for name in among if computes(name, dtype, device)]
        most = min(MOST, len(names))
        seed = draw(st.integers(0, 2**16 - 1))
        if whole:
            row = [draw(activations((name,))) for name in Random(seed).sample(names, len(names))]
        else:
            least = min(FEWEST, most)
            row = draw(st.lists(activations(names), min_size=least, max_size=most, unique_by=lambda one: one.name))
        layers: list[Layer] = []
        for i, activation in enumerate(row):
            numbers = Values("uniform", seed=seed + 2 * i), Values("uniform", seed=seed + 2 * i + 1)
            layers += [Linear(1, *numbers), activation]
        batch, x = draw(st.integers(1, MOST_SAMPLES)), Values("uniform", seed=seed)
        return Network(tuple(layers), batch=batch, x=x, dtype=dtype, device=device)

    return network()
