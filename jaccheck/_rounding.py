"""What a correct result may differ by, for all paths of one kind."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Rounding(NamedTuple):
    """How a path rounds."""

    mode: Literal["reverse", "forward"] = "reverse"  # from the outputs to the parameters, or the other way
    more: int = 0  # how often more than one pass in that direction does


ONE_PASS = Rounding()
"""That of a backward pass."""
