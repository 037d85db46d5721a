"""Activations with their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from jaccheck._activations import ACTIVATIONS
from jaccheck._layers import Activation

from .targets import chosen

PER_NAME = 8  # entries for each activation, so that each name is as likely


def activations(names: Sequence[str] = tuple(ACTIVATIONS)) -> SearchStrategy[Activation]:
    """Activations, each name as often as another; those with parameters mostly have other than torch's own.

    They shrink to the first of `names`, by default ReLU, with the parameters that are torch's own.

    Raises:
        InvalidArgument: there is none in `names`, or one that isn't in `ACTIVATIONS`.
    """
    return st.sampled_from(table(chosen("activations", names, tuple(ACTIVATIONS))))


@cache
def table(names: tuple[str, ...]) -> tuple[Activation, ...]:
    """Equally many activations for each name, those with torch's own parameters first."""
    return tuple(activation for name in names for activation in _of(name))


def _of(name: str) -> list[Activation]:
    parameters = ACTIVATIONS[name].parameters
    grid = list(product(*(parameter.values for parameter in parameters.values())))[1:]  # the first is the default
    if not grid:
        return [Activation(name)] * PER_NAME
    points = [grid[i * len(grid) // (PER_NAME - 1)] for i in range(PER_NAME - 1)]
    return [
        Activation(name),
        *(Activation(name, tuple(sorted(zip(parameters, point, strict=True)))) for point in points),
    ]
