"""What a worker has in hand, as it notes it, and whether it should go on."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network

SIZE = 1 << 22  # of the file; a network whose JSON is larger is known by its number alone
_HEAD = struct.Struct("<BBxxxxxxdqq")
"""Asked to stop, doing, since when, number in the campaign, bytes of JSON behind."""
DOING = ("", "checking", "shrinking", "replaying")


class Progress(Protocol):
    """Where a worker notes what it does."""

    def take(self, network: Network, index: int, doing: str) -> None:
        """Note that `network` comes next, as number `index`; `doing` is "checking" or "shrinking"."""

    def free(self) -> None:
        """Note that no network is in hand."""

    def stopped(self) -> bool:
        """Whether the campaign has been asked to end."""


class OwnProgress:
    """That of the calling process: it only counts, and says so."""

    def __init__(self, watch: Callable[[str], None]) -> None:
        self.stop, self._watch = False, watch

    def take(self, network: Network, index: int, doing: str) -> None:
        self._watch(doing)

    def free(self) -> None:
        pass

    def stopped(self) -> bool:
        return self.stop


@dataclass(frozen=True)
class InHand:
    """What the controller reads of it."""

    doing: str
    """One of `DOING`; the first if there is no network in hand."""
    seconds: float
    """Since it was taken."""
    index: int
    network: Network | None


NOTHING = InHand("", 0.0, -1, None)


class SharedProgress:
    """In a file that outlives the worker, who writes all but the first byte; the controller writes that."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b" if file.exists() else "w+b") as opened:
            opened.truncate(SIZE)
            self._map = mmap.mmap(opened.fileno(), SIZE)

    def clear(self) -> None:
        """As it was at first, but for the request to stop."""
        stop = self._map[0]
        self._map[: _HEAD.size] = bytes(_HEAD.size)
        self._map[0] = stop

    # the controller's side

    def stop(self) -> None:
        self._map[0] = 1

    def read(self) -> InHand:
        _, doing, since, index, length = _HEAD.unpack_from(self._map)
        network = None
        if doing and length:
            try:
                network = Network.from_json(bytes(self._map[_HEAD.size : _HEAD.size + length]))
            except (InvalidProblem, UnicodeDecodeError):  # it was about to write it
                network = None
        return InHand(DOING[doing], time.monotonic() - since if doing else 0.0, index, network)

    # the worker's side

    def take(self, network: Network, index: int, doing: str) -> None:
        text = network.to_json().encode()
        length = len(text) if len(text) <= SIZE - _HEAD.size else 0
        self._map[1] = 0
        self._map[_HEAD.size : _HEAD.size + length] = text[:length]
        _HEAD.pack_into(self._map, 0, self._map[0], DOING.index(doing), time.monotonic(), index, length)

    def free(self) -> None:
        self._map[1] = 0

    def stopped(self) -> bool:
        return self._map[0] != 0
