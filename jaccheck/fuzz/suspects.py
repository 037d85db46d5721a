"""Networks that a worker had in hand when it died or was ended, until it is known which path it was."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from jaccheck._finding import PROCESS, WORKER, Failure, Finding
from jaccheck._network import Network
from jaccheck.fuzz.checking import Row, described
from jaccheck.fuzz.crew import Loss
from jaccheck.fuzz.plan import Plan


@dataclass
class Suspect:
    """A network, and what has been tried with it."""

    loss: Loss
    network: Network
    index: int | None
    """Its number in the campaign, if it has no row as yet."""
    paths: tuple[str, ...]
    tried: set[str] = field(default_factory=set)
    whole: bool = False
    """It has been tried as a whole once more."""

    def take_whole(self) -> bool:
        """Whether to try the whole of it once more, which is not worth while if that takes the timeout again."""
        first, self.whole = not self.whole, True
        return first and self.loss.kind == "crashed"

    def take_path(self, listed: Collection[Failure]) -> str | None:
        """The path to try next: first those that are known for it."""
        notorious = {failure.path for failure in listed if failure.property == PROCESS}
        left = sorted((p for p in self.paths if p not in self.tried), key=lambda p: p not in notorious)
        if not left:
            return None
        self.tried.add(left[0])
        return left[0]

    def finding(self, path: str | None, plan: Plan, timeout: float | None) -> Finding:
        """That `path` does it, or that it couldn't be brought about again by one path alone."""
        return Finding(
            Failure(path or WORKER, PROCESS, self.loss.kind),
            self.network,
            plan.paths,
            crash=self.loss.said,
            reproducible=path is not None,
            timeout=timeout if self.loss.kind == "hung" else None,
            properties=plan.properties,
        )

    def row(self, finding: Finding) -> Row:
        """The row of a network without verdicts."""
        assert self.index is not None
        kind, seconds = self.loss.kind, self.loss.in_hand.seconds
        return described(self.index, self.network, kind, seconds=seconds, failures=(finding.failure,))
