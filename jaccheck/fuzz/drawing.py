"""Rounds of random networks, each one run of Hypothesis with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from random import Random
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.strategies import SearchStrategy

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck._steps import STEPS
from jaccheck.fuzz.plan import ROUND, Plan, Slice
from jaccheck.strategies import EVERYTHING, exact_networks, in_a_row, networks
from jaccheck.strategies.drawing import visited

UPTO = (32, 128, ROUND)
"""How far the first round is drawn, each time from the start again: all of it only if so many are needed, since that
takes a second or two, which there may not be."""
FEW, SOME = 4, 8
"""To the model of a network with so few outputs in all everything happens that may, to another one's so many things."""


def tried(dtypes: Sequence[str], devices: Sequence[str] | None = None) -> SearchStrategy[Network]:
    """Networks of all kinds, `used`; of ten two are exact, where any error shows, two are rows of activations."""
    ordinary = networks(dtypes=dtypes, devices=devices, **EVERYTHING)
    exact = exact_networks(dtypes=dtypes, devices=devices)
    rows = in_a_row(dtypes=dtypes, devices=devices)
    every = (*(ordinary,) * 6, *(exact,) * 2, *(rows,) * 2)
    # one_of() would take each once, however often it is named
    found: SearchStrategy[Network] = st.integers(0, len(every) - 1).flatmap(every.__getitem__).map(used)
    return found


def used(network: Network) -> Network:
    """`network` with steps for `sequence`, in an order of its own.

    What only one step of all shows would be missed too often if a few of them were drawn for each. A model that
    BackPACK has extended stays so, and some of what a path gives for it can't be told from BackPACK's doing: last.
    """
    few = network.batch * network.outputs <= FEW
    steps = Random(network.to_json()).sample(sorted(STEPS), len(STEPS) if few else SOME)
    return replace(network, steps=tuple(sorted(steps, key="extend".__eq__)))


class _Enough(KeyboardInterrupt):
    """No more networks are needed; Hypothesis lets it through as it does Ctrl-C."""


def drawn(plan: Plan, part: Slice) -> tuple[Network, ...]:
    """The networks of `part` of a round: the same wherever they are drawn, and whatever their checks say.

    Raises:
        InvalidProblem: no network can be drawn within the plan's limits.
    """
    hurry = plan.seconds is not None and not part.number
    upto = next(upto for upto in (UPTO if hurry else (UPTO[0], ROUND)) if upto >= part.last)
    found = _begun(plan, part.number, part.size, upto)
    if not found:
        raise InvalidProblem("no network can be drawn within these limits")
    return found[part.first : part.last]


@lru_cache(maxsize=2)
def _begun(plan: Plan, number: int, size: int, upto: int) -> tuple[Network, ...]:
    found: list[Network] = []

    def visit(network: Network) -> None:
        found.append(network)
        if len(found) == upto:
            raise _Enough

    with suppress(_Enough):
        run(plan, number, size, visit)
    return tuple(found)


def run(plan: Plan, number: int, size: int, visit: Callable[[Network], None]) -> None:
    """Let Hypothesis call `visit` with each network of a round and, once it raises a failure, with smaller ones."""
    with _whatever_is_imported():
        visited(tried(plan.dtypes, plan.devices), visit, count=size, seed=f"{plan.seed}/{number}", shrink=True)


@contextmanager
def _whatever_is_imported() -> Iterator[None]:
    """Without the constants that Hypothesis finds in the source of the modules that happen to be loaded.

    It draws them now and then, and a worker hasn't loaded what the program has. Releases before 6.131 don't.
    """
    with ExitStack() as stack:
        if hasattr(providers, "CONSTANTS_CACHE"):
            none = type(providers.GLOBAL_CONSTANTS)()
            stack.enter_context(patch.object(providers, "_get_local_constants", lambda: none))
            stack.enter_context(patch.object(providers, "CONSTANTS_CACHE", type(providers.CONSTANTS_CACHE)(1024)))
        yield
