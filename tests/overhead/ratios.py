"""The time of a check in units of its three paths, as a user calls these and by themselves."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from tests.overhead.problems import Problem, by_check, by_jacobian, by_path, fastest

ADMITTED = "three calls of jaccheck.jacobian (which admits and puts back)"
BARE = "three calls of path.jacobian (the path alone)"


def compared(problems: Sequence[Problem], rounds: int) -> dict[str, float]:
    """Ratios of the check to the paths: of the sums over all problems, and the median over the problems.

    ``jaccheck.jacobian`` admits the problem and puts everything back for each path, which a check does, too, but once;
    ``path.jacobian`` is the path's own work and nothing else.
    """
    best = []
    for problem in problems:
        try:
            best.append(fastest([by_jacobian, by_path, by_check], problem, rounds))
        except Exception as error:
            print(f"left out: {error}", file=sys.stderr)
    found: dict[str, float] = {"problems": len(best)}
    for column, against in ((0, ADMITTED), (1, BARE)):
        found[f"check / {against}, of the sums"] = sum(row[2] for row in best) / sum(row[column] for row in best)
        found[f"check / {against}, median"] = statistics.median(row[2] / row[column] for row in best)
    return found
