"""The time of a check, in those of its three paths."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from tests.overhead.problems import Problem, by_check, by_jacobian, by_path, fastest


def compared(problems: Sequence[Problem], rounds: int) -> dict[str, float]:
    """Ratios of the check to the paths: of the sums over all problems, and the median over the problems."""
    best = []
    for problem in problems:
        try:
            best.append(fastest([by_jacobian, by_path, by_check], problem, rounds))
        except Exception as error:
            print(f"left out: {error}", file=sys.stderr)
    found: dict[str, float] = {"problems": len(best)}
    for column, against in ((0, "jaccheck.jacobian"), (1, "path.jacobian")):
        found[f"check / {against}, of the sums"] = sum(row[2] for row in best) / sum(row[column] for row in best)
        found[f"check / {against}, median"] = statistics.median(row[2] / row[column] for row in best)
    return found
