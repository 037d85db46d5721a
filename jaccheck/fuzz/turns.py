"""Whose turn it is: which properties are asked of a network, since some cost several times as much as all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from jaccheck._activations import ACTIVATIONS
from jaccheck._network import Network
from jaccheck._steps import STEPS
from jaccheck.fuzz.features import kinds
from jaccheck.fuzz.plan import Plan

EVERY = 4
"""One in so many networks is asked a property that costs several times as much as all the cheap ones together."""

TURNS: Mapping[str, int] = {"sequence": 1, "layout": 8, "batching": 6, "forms": 5, "every_input": 2, "sizes": 1}
"""Of a round; the less time a property takes, the more (`python -m tests.overhead turns`), and fewer where `ONLY` gives
others. The first of each come in this order. Their sum is odd, so that each has its turn at any number in `OF`."""
MIDDLE = 3
"""Those of any other property."""

LONGER = 3
"""In a given time they all together take at most so many times what the cheap ones take, or one turn more: a first
turn of each would be most of a short run."""

OF = 4
ONLY: Mapping[str, tuple[Callable[[Network], bool], Sequence[int]]] = {
    "every_input": (lambda network: _activations(network) >= SEVERAL, (0, 2)),
    "sizes": (lambda network: _activations(network) >= SEVERAL, (1,)),
    "forms": (lambda network: network.random, (1, 3)),
    "sequence": (lambda network: _all_happens(network) and 0 < _activations(network) < SEVERAL, (3,)),
}
"""Networks, few of all, of which that property alone asks something, or much at once, as `every_input` and `sizes` do
where there are `SEVERAL` activations, and `sequence` where all happens that may, to a model with some: it is asked of
so many of `OF`."""
SEVERAL = 6


def turn(plan: Plan, index: int, network: Network, spent: Mapping[str, float]) -> list[tuple[str, ...]]:
    """The properties for network `index`: those that cost little, and of every fourth network one of the others.

    In a given time, each of the others gets its share of what is `spent`, by the names of `counted_as`; for a given
    number of examples the network's number decides, whoever checks it. Networks of `ONLY` are often asked what no
    others are.
    """
    cheap, others = plan.turns
    taken = sum(spent.get(law, 0.0) for law in others)
    if cheap and plan.examples is None and taken > LONGER * spent.get(counted_as(cheap), 0.0):
        return [cheap]
    every = EVERY if cheap else 1
    number = index // every
    only = [law for law, (of, when) in ONLY.items() if law in others and number % OF in when and of(network)]
    if only:
        law = only[0]
    elif not others or index % every:
        return [cheap]
    elif plan.examples is not None:
        each = _round(others)
        law = each[number % len(each)]
    else:
        law = min(_round(others), key=lambda law: spent.get(law, 0.0))
    return [cheap, (law,)] if cheap else [(law,)]


def counted_as(properties: Sequence[str]) -> str:
    """By which name the time is counted that these take, asked together."""
    return ", ".join(properties)


def _activations(network: Network) -> int:
    return len((ACTIVATIONS.keys() - {"Identity"}) & set(kinds(network)))


def _all_happens(network: Network) -> bool:
    return len(network.steps) == len(STEPS) and network.batch > 0


@lru_cache
def _round(laws: tuple[str, ...]) -> tuple[str, ...]:
    """Each property as often as `TURNS` says, at even distances from the first on."""
    order = sorted(laws, key=lambda law: [*TURNS, law].index(law))
    turns = {law: TURNS.get(law, MIDDLE) for law in order}
    places = [(i / most, law) for law, most in turns.items() for i in range(most)]
    return tuple(law for _, law in sorted(places, key=lambda place: place[0]))
