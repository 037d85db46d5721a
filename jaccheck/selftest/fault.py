"""A fault of our own making: what is wrong, how it gets in, and who has to be named for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from jaccheck._finding import FORWARD

Injection = Callable[[], AbstractContextManager[object]]
"""Puts a fault in for a while; each time with a fresh memory."""

BASE = "vmap_jacrev"
"""The path that wrong paths begin with: the one with the fewest defects of its own."""
LOOP = "autograd"
"""What others begin with: torch.func declines what BackPACK has extended, and functions that have no rule for it."""


@dataclass(frozen=True)
class Fault:
    """Something wrong, in a path or in the libraries below it."""

    name: str
    words: str
    """What is wrong."""
    inject: Injection
    accused: tuple[str, ...]
    """The paths to be named together, and no others; ``(FORWARD,)`` where the model's own values are wrong."""
    equivalent: str | None = None
    """Why nobody can see it, the result being right all the same."""
    base: str = BASE
    """For a path of its own, the one that it begins with, whose defects it has."""
    family: str = ""
    """The file of `jaccheck.selftest.faults` in which it stands."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Those that are asked, while the fault is looked for."""
        return (BASE,) if self.accused == (FORWARD,) else self.accused

    @property
    def own_path(self) -> bool:
        """Whether it is a path of its own, rather than something below the built-in ones."""
        return self.accused == (self.name,)
