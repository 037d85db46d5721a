"""The smallest network that still fails in the same way, down to its numbers; it knows nothing of Hypothesis."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck.minimize.measure import measure
from jaccheck.minimize.options import plain
from jaccheck.minimize.places import Candidates
from jaccheck.minimize.sizes import fewer_samples, narrowed, narrowed_together, without_units
from jaccheck.minimize.structure import fewer_steps, merged, unwrapped, without_layers
from jaccheck.minimize.values import explicit, rewritten, simpler_numbers

Pass = Callable[[Network], Candidates]
PASSES: tuple[Pass, ...] = (
    without_layers,
    unwrapped,
    merged,
    fewer_steps,
    fewer_samples,
    narrowed_together,
    narrowed,
    without_units,
    rewritten,
    plain,
    simpler_numbers,
)
"""Ways to make a network a little smaller: each gives those that may take its place, the smallest first."""


@dataclass(frozen=True)
class Minimized:
    """What came of it."""

    network: Network
    tried: int
    """Networks."""
    complete: bool
    """Nothing that can be tried is smaller; else the time was up."""


def minimized(
    network: Network,
    fails: Callable[[Network], bool],
    *,
    seconds: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Network, int], None] = lambda network, tried: None,
) -> Minimized:
    """Make `network` smaller as long as it fails.

    Layers are left out, unwrapped, merged and narrowed, samples left out, options put back to their default, numbers
    replaced by 0, ±1, small integers and short dyadics. What is accepted has a smaller `measure`, so that it ends.

    Args:
        network: one that fails.
        fails: whether a network fails in the same way; it may raise InvalidProblem, which counts as no.
        seconds: no network is tried later than that, nor once `stop` says so.
        watch: called with the smallest network so far and the number of those tried, before each one.
    """
    deadline = time.monotonic() + seconds
    search = _Search(network, fails, lambda: stop() or time.monotonic() >= deadline, watch)
    try:
        search.attempt(lambda: explicit(network), larger=True)
        while search.round():
            pass
    except _TimeIsUp:
        return Minimized(search.best, search.tried, complete=False)
    return Minimized(search.best, search.tried, complete=True)


def with_fewer_steps(network: Network, fails: Callable[[Network], bool], stop: Callable[[], bool]) -> Network:
    """`network` with as little happening to it as it still fails with; of all passes that one alone."""
    search = _Search(network, fails, stop, lambda network, tried: None)
    with suppress(_TimeIsUp):
        while search.run(fewer_steps):
            pass
    return search.best


class _TimeIsUp(Exception):
    pass


class _Search:
    def __init__(
        self,
        network: Network,
        fails: Callable[[Network], bool],
        over: Callable[[], bool],
        watch: Callable[[Network, int], None],
    ) -> None:
        self.best, self.tried = network, 0
        self._fails, self._over, self._watch = fails, over, watch
        self._seen = {network}

    def round(self) -> bool:
        """Whether any of the passes, one after another, has made it smaller."""
        smaller = [self.run(make) for make in PASSES]
        return any(smaller)

    def run(self, make: Pass) -> bool:
        """Whether a pass has made it smaller. After each success it goes on from the same place."""
        place, smaller = 0, False
        again = True
        while again:
            again = False
            for i, candidate in enumerate(make(self.best)):
                if i >= place and self.attempt(candidate):
                    place, smaller, again = i, True, True
                    break
        return smaller

    def attempt(self, make: Callable[[], Network], *, larger: bool = False) -> bool:
        """Take what `make` gives if it is smaller (or may be larger) and fails."""
        try:
            network = make()
            if network in self._seen or not (larger or measure(network) < measure(self.best)):
                return False
            if self._over():
                raise _TimeIsUp
            self._seen.add(network)
            self.tried += 1
            self._watch(self.best, self.tried)
            failed = self._fails(network)
        except InvalidProblem:
            return False
        if failed:
            self.best = network
        return failed
