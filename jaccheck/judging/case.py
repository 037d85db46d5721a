"""What a verdict rests on, for those who ask whether a known defect explains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from jaccheck._problem import Problem
from jaccheck.enclosure import Oracle
from jaccheck.paths import Path

Masks = dict[str, Tensor]
"""For each parameter ``[N, C, *p.shape]``, true or false."""


@dataclass(frozen=True, eq=False)
class Case:
    """A problem whose Jacobian a property judges, and what it has to say of its entries."""

    problem: Problem
    samples: Sequence[int] | None = None
    """Those whose rows it looks at; None: all."""
    wrong: Callable[[Mapping[str, Tensor]], Masks] | None = None
    """Which entries of a Jacobian are wrong; None: those outside the enclosure."""
    path: Path | None = None
    """The path with other options, by which it is judged; None: as it is."""
    oracle: Oracle | None = None
    """The problem's, if there is one already."""
