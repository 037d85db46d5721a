"""What happens to the models of networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from jaccheck._network import Network
from jaccheck._steps import MOST, STEPS

from .targets import chosen


def in_use(
    networks: SearchStrategy[Network], *, max_steps: int = 16, steps: Sequence[str] = tuple(STEPS)
) -> SearchStrategy[Network]:
    """`networks` with steps for the property `sequence`; they shrink to the fewest, which come first in `STEPS`.

    Raises:
        InvalidArgument: there can't be so many steps, or there is no such step.
    """
    if type(max_steps) is not int or not 0 <= max_steps <= MOST:
        raise InvalidArgument(f"{max_steps=} should be an integer from 0 to {MOST}")
    each = st.sampled_from(chosen("steps", steps, tuple(STEPS)))
    # two lists, as Hypothesis makes one of so many seldom longer than five
    first = st.lists(each, max_size=max_steps - max_steps // 2)
    others = st.lists(each, max_size=max_steps // 2)

    @st.composite  # not builds(), which would be shown as a call
    def network(draw: st.DrawFn) -> Network:
        happening = draw(first) + draw(others)
        if max_steps and not happening:
            happening.append(draw(each))
        return replace(draw(networks), steps=tuple(happening))

    return network()
