"""The network that a worker has in hand, and whether it should go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jaccheck._network import Network


class Hand(Protocol):
    """Where a worker notes what it does."""

    def take(self, network: Network, index: int, doing: str) -> None:
        """Note that `network` comes next, as number `index`; `doing` is "checking" or "shrinking"."""

    def free(self) -> None:
        """Note that no network is in hand."""

    def stopped(self) -> bool:
        """Whether the campaign has been asked to end."""


class OwnHand:
    """That of the calling process: it only counts, and says so."""

    def __init__(self, watch: Callable[[str], None]) -> None:
        self.stop, self._watch = False, watch

    def take(self, network: Network, index: int, doing: str) -> None:
        self._watch(doing)

    def free(self) -> None:
        pass

    def stopped(self) -> bool:
        return self.stop
