"""One fault, looked for as `fuzz` does: on the same networks, by the same properties, until it is found."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache

from jaccheck._errors import InvalidProblem
from jaccheck._finding import FORWARD
from jaccheck._network import Network
from jaccheck._values import DTYPES
from jaccheck.defects.known import looked_up
from jaccheck.fuzz.drawing import drawn
from jaccheck.fuzz.plan import ROUND, Plan, Slice
from jaccheck.fuzz.turns import turn
from jaccheck.paths import DEFAULT
from jaccheck.properties import PROPERTIES
from jaccheck.selftest.fault import Fault

ENOUGH = 10**6  # networks: more than any budget allows


@dataclass(frozen=True)
class Hunt:
    """What came of looking for one fault."""

    fault: Fault
    networks: int
    """Looked at, the one that shows it included."""
    seconds: float
    """Of the processor."""
    law: str | None = None
    """The first property that named all the accused, but for who refuses that network; None: the fault survived."""
    network: Network | None = None
    """The one that shows it."""
    by: tuple[str, ...] = ()
    """The properties that see it on that network, each asked by itself; `FORWARD` if it is the forward pass."""
    misjudged: tuple[str, ...] = ()
    """Others that were named, too, though nothing is wrong with them."""
    crash: str | None = None
    """What jaccheck itself raised on the way."""

    @property
    def killed(self) -> bool:
        return self.law is not None

    @property
    def ok(self) -> bool:
        """It was found and nobody else accused; or, being equivalent, it wasn't."""
        return self.killed == (self.fault.equivalent is None) and not self.misjudged and self.crash is None


@dataclass
class _Search:
    """The fault is in but while networks are drawn, and while it is asked what is wrong without it."""

    fault: Fault
    crash: str | None = None
    refused: set[str] = field(default_factory=set)
    """Who said of the latest network that it can't do it."""
    stack: ExitStack = field(default_factory=ExitStack)

    def put_in(self) -> None:
        self.stack.enter_context(self.fault.inject())

    def take_out(self) -> None:
        self.stack.close()

    def wrong(
        self, network: Network, paths: Sequence[str], properties: Sequence[str], *, known: bool = True
    ) -> dict[str, set[str]]:
        """For each property who is accused by it, unless a `known` defect explains it, as in `fuzz`."""
        found: dict[str, set[str]] = defaultdict(set)
        self.refused = set()
        try:
            report, failures, explained = looked_up(network, paths, properties, known_too=known, words=False)
            self.refused = {path for path, verdict in report.verdicts.items() if verdict.status == "unsupported"}
            for failure in failures:
                if failure not in explained:
                    found[failure.property].add(failure.path)
        except InvalidProblem:
            pass
        except Exception as error:  # as in `fuzz`, where it is a finding of its own
            self.crash = f"{type(error).__name__}: {error} on {network.to_json()}"
        return found

    def naming(self, network: Network, properties: Sequence[str]) -> list[str]:
        """The laws that name all the accused, but for who refuses the network."""
        found = self.wrong(network, self.fault.paths, properties)
        return [law for law, named in found.items() if named | self.refused >= set(self.fault.accused)]

    def without(self, network: Network, paths: Sequence[str], properties: Sequence[str]) -> dict[str, set[str]]:
        """The same where nothing has been put in, said of the fault's own path too: that of what it begins with.

        And also what is known of that: no register speaks of a path that begins with it.
        """
        if self.fault.own_path:
            name, base = self.fault.name, self.fault.base
            found = self.wrong(network, [base if path == name else path for path in paths], properties, known=False)
            return {law: {name, *paths} if base in paths else paths for law, paths in found.items()}
        self.take_out()
        try:
            return self.wrong(network, paths, properties)
        finally:
            self.put_in()


def hunt(
    fault: Fault,
    *,
    seed: int = 0,
    budget: float,
    most: int = ENOUGH,
    properties: Sequence[str] = tuple(PROPERTIES),
) -> Hunt:
    """Look for `fault` for at most `budget` seconds of the processor, on at most so many networks, by `properties`.

    What is wrong on a network without the fault doesn't count, so that the libraries' own defects are no kills.
    """
    plan = Plan(seed, fault.paths, tuple(properties), DTYPES, ("cpu",), examples=ENOUGH)
    search = _Search(fault)
    number, start = 0, time.process_time()
    for part in parts(seed):
        search.put_in()
        try:
            for network in part:
                for laws in turn(plan, number, network, {}):
                    kills = search.naming(network, laws)
                    if kills and (kills := _due(search, network, kills)):
                        seconds = time.process_time() - start
                        return _confirmed(search, network, kills[0], number + 1, seconds, properties)
                number += 1
                if number == most or time.process_time() - start >= budget:
                    return Hunt(fault, number, time.process_time() - start, crash=search.crash)
        finally:
            search.take_out()
    raise AssertionError("networks have run out")


def _due(search: _Search, network: Network, laws: Sequence[str]) -> list[str]:
    """Those of `laws` that find nothing without the fault."""
    which = [law for law in laws if law in PROPERTIES] or ["enclosure"]  # a wrong forward pass has no property
    others = search.without(network, search.fault.paths, which)
    return [law for law in laws if not others.get(law)]


def _confirmed(
    search: _Search, network: Network, law: str, networks: int, seconds: float, properties: Sequence[str]
) -> Hunt:
    """Who else is accused, and by what; that isn't part of the time."""
    fault = search.fault
    witnesses = tuple(path for path in DEFAULT if path not in fault.paths)
    which = (law if law in PROPERTIES else "enclosure",)
    named = search.wrong(network, (*fault.paths, *witnesses), which).get(law, set())
    others = set() if named <= set(fault.accused) else search.without(network, witnesses, which).get(law, set())
    by = dict.fromkeys(
        law if law == FORWARD else one  # some begin with the enclosure
        for one in properties
        for law in search.naming(network, (one,))
    )
    misjudged = tuple(sorted(named - set(fault.accused) - others))
    return Hunt(fault, networks, seconds, law, network, tuple(by), misjudged, search.crash)


def parts(seed: int) -> Iterator[tuple[Network, ...]]:
    """The networks that `fuzz` draws, in parts that are drawn in one go."""
    for number in range(ENOUGH // ROUND):
        for first, last in ((0, 32), (32, ROUND)):
            yield _part(seed, number, first, last)


@lru_cache(maxsize=64)
def _part(seed: int, number: int, first: int, last: int) -> tuple[Network, ...]:
    plan = Plan(seed, (), (), DTYPES, ("cpu",))
    return drawn(plan, Slice(number, ROUND, first, last))
