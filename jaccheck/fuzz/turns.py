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

TURNS: Mapping[str, int] = {"every_input": 2, "layout": 8, "forms": 5, "batching": 6, "sizes": 3, "sequence": 9}
"""Of a round; the less time a property takes, the more (`python -m tests.overhead turns`), but for `every_input`, which
has those of `ONLY`. Their sum is odd, so that each has its turn at any number in `OF`."""
MIDDLE = 3
"""Those of any other property."""

LONGER = 3
"""In a given time they all together take at most so many times what the cheap ones take, or one turn more: a first
turn of each would be most of a short run."""

OF = 4
ONLY: Mapping[str, tuple[Callable[[Network], bool], Sequence[int]]] = {
    "every_input": (lambda network: _activations(network) >= NEARLY_ALL, range(OF)),
    "sizes": (lambda network: _activations(network) >= SEVERAL, (1,)),
    "forms": (lambda network: network.random, (1, 3)),
    "sequence": (lambda network: network.batch >= BETWEEN and _all_happens(network), (2,)),
}
"""Networks, few of all, of which that property alone asks something, or much at once, as `every_input` does where there
are `NEARLY_ALL` activations, `sizes` where there are `SEVERAL`, and `sequence` where a sample is `BETWEEN` others: it
is asked of so many of `OF`."""
NEARLY_ALL = 15
SEVERAL = 6
BETWEEN = 3
"""Samples, of which one is between others."""

MANY = "sequence"
"""This property has by far the most to try, each thing that may happen to a model. All that in one turn is most of what
it finds: of networks to whose models not all of it happens it is asked of one of `OF`."""


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
    now = others
    if not _all_happens(network) and number % OF:
        now = tuple(law for law in others if law != MANY) or others
    if only:
        law = only[0]
    elif not others or index % every:
        return [cheap]
    elif plan.examples is not None:
        each = _round(others)
        law = next(law for law in each[number % len(each) :] + each if law in now)
    else:
        law = min(now, key=lambda law: (spent.get(law, 0.0), -TURNS.get(law, MIDDLE)))
    return [cheap, (law,)] if cheap else [(law,)]


def counted_as(properties: Sequence[str]) -> str:
    """By which name the time is counted that these take, asked together."""
    return ", ".join(properties)


def _activations(network: Network) -> int:
    return len(ACTIVATIONS.keys() & kinds(network))


def _all_happens(network: Network) -> bool:
    return len(network.steps) == len(STEPS)


@lru_cache
def _round(laws: tuple[str, ...]) -> tuple[str, ...]:
    """Each property as often as `TURNS` says, at even distances from the first on; that of most turns comes first."""
    turns = {law: TURNS.get(law, MIDDLE) for law in laws}
    places = [(i / most, -most, law) for law, most in turns.items() for i in range(most)]
    return tuple(law for *_, law in sorted(places, key=lambda place: place[:2]))
