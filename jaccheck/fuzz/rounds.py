"""Which networks are still to be checked, and by whom: rounds handed out, and shared where there are too few."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from jaccheck.fuzz.plan import Plan, Slice

MOST = 32
"""Networks in one go."""
FEWEST = 8
"""Networks that are worth drawing their whole round once more."""


class Rounds:
    """Hands out each network of the plan once.

    A worker keeps to a round, which it has drawn, to its end. Where no round is left, it takes over the second half
    of what another one has still before it.
    """

    def __init__(self, plan: Plan, done: int = 0, left: Iterable[Slice] = ()) -> None:
        """`done` rounds have been begun, and of these `left` is left."""
        self.plan = plan
        self._next = done
        self._left = deque(left)
        self._of: dict[int, Slice] = {}  # worker: what it has before it

    def take(self, worker: int) -> Slice | None:
        """The next networks for `worker`; None if there are none."""
        mine = self._of.pop(worker, None) or self._begun() or self._new() or self._shared()
        if mine is None:
            return None
        now = replace(mine, last=min(mine.last, mine.first + MOST))
        self._of[worker] = replace(mine, first=now.last)
        return now

    def busy(self, worker: int) -> bool:
        """Whether it is in the middle of a round."""
        return bool(self._of.get(worker))

    def give_back(self, worker: int, rest: Slice) -> None:
        """`worker` has not come to `rest` of what it took."""
        later = self._of.pop(worker, None)
        if later is not None and later.number == rest.number and later.first == rest.last:
            rest = replace(rest, last=later.last)
        elif later is not None and later:
            self._left.append(later)
        if rest:
            self._of[worker] = rest

    def put(self, *parts: Slice) -> None:
        """Nobody has come to `parts` after all."""
        self._left.extend(part for part in parts if part)

    @property
    def finished(self) -> bool:
        """Whether all networks have been taken."""
        return not self._left and not any(self._of.values()) and not self.plan.round_size(self._next)

    def exhausted(self, worker: int) -> None:
        """The round of `worker` has no more networks."""
        self._of.pop(worker, None)

    def leave(self, worker: int) -> None:
        """`worker` is gone; what it had before it is left to others."""
        self.put(*filter(None, [self._of.pop(worker, None)]))

    def _begun(self) -> Slice | None:
        return self._left.popleft() if self._left else None

    def _new(self) -> Slice | None:
        size = self.plan.round_size(self._next)
        if not size:
            return None
        self._next += 1
        return Slice(self._next - 1, size, 0, size)

    def _shared(self) -> Slice | None:
        owner, most = max(self._of.items(), key=lambda item: len(item[1]), default=(0, None))
        if most is None or len(most) < 2 * FEWEST:
            return None
        middle = (most.first + most.last) // 2
        self._of[owner] = replace(most, last=middle)
        return replace(most, first=middle)
