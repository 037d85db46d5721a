"""What a campaign has done and found so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from jaccheck._finding import Failure, Finding
from jaccheck.fuzz.checking import Row
from jaccheck.fuzz.features import named
from jaccheck.fuzz.plan import Plan


@dataclass
class Summary:
    """What was done and found."""

    plan: Plan
    networks: int = 0
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    """For each path, how often it had which status; "known" is a disagreement that is a known defect."""
    properties: dict[str, Counter[str]] = field(default_factory=dict)
    """For each property, how often it gave which status of a path."""
    elements: Counter[str] = field(default_factory=Counter)
    """For each path, the elements of the Jacobians that were judged."""
    vacuous: Counter[str] = field(default_factory=Counter)
    """Those of which nothing was known."""
    refused: Counter[str] = field(default_factory=Counter)
    """Networks that `check` refused as invalid, by the reason."""
    known: Counter[str] = field(default_factory=Counter)
    """Known defects by id: on how many networks."""
    features: Counter[str] = field(default_factory=Counter)
    """Networks that have them."""
    findings: list[Finding] = field(default_factory=list)
    again: Counter[Failure] = field(default_factory=Counter)
    """Findings seen again on other networks."""
    replayed: int = 0
    """Networks of earlier findings that were tried first; they count among no others."""
    shrinking: int = 0
    """Networks tried to make findings smaller."""
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds for each property, or group of them, and for shrinking."""
    chasing: int = 0
    """Findings that are being made smaller at the moment."""
    crew: tuple[str, ...] = ()
    """What each of several workers does at the moment."""
    seconds: float = 0.0
    stopped: str = "examples"
    """By what: "examples", "seconds", "finding" or "interrupted"."""

    @property
    def checks(self) -> int:
        """Path checks: how often a path was judged on a network."""
        return sum(counter.total() for counter in self.verdicts.values())

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Paths that were tried, and declined each network, or about which nothing could be said on any."""
        nothing = {"unsupported", "vacuous"}
        return tuple(path for path, counts in self.verdicts.items() if nothing.issuperset(counts))

    @property
    def ok(self) -> bool:
        return not self.findings

    def count(self, row: Row) -> None:
        """Count one network."""
        self.networks += 1
        self.features.update(named(row.features, row.dtype, row.layers))
        self.known.update(row.known)
        if row.refused is not None:
            self.refused[row.refused] += 1
        for asked in row.asked:
            self.spent[asked.name] += asked.seconds
            for _, law, status in asked.statuses:
                self.properties.setdefault(law, Counter())[status] += 1
        for path in row.paths:
            self.verdicts.setdefault(path.path, Counter())[path.status] += 1
            self.elements[path.path] += path.elements
            self.vacuous[path.path] += path.vacuous
