"""The register: one entry for each known defect of a library.

An entry of ``known_defects.json`` says in which library and versions, in which paths, of which property and kind, and
`when`: the name of a condition and its arguments, which say of each element of the Jacobian whether the defect explains
it (see `jaccheck.defects.conditions`).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jaccheck._check import versions
from jaccheck._errors import InvalidProblem
from jaccheck._finding import FORWARD, Failure
from jaccheck.paths import SHIPPED
from jaccheck.properties import PROPERTIES, WithCases


@dataclass(frozen=True, eq=False)
class Defect:
    """An entry of the register."""

    id: str
    library: str
    """As in a report's versions: "torch", "backpack"."""
    versions: str
    """Where it has been seen: comparisons, all of which hold, such as ">=1.6,<1.8"."""
    paths: tuple[str, ...]
    property: str
    kind: str
    when: Mapping[str, Any]
    """The name of a condition, under "condition", and its arguments."""
    shows: str
    """What one sees, in words."""
    upstream: str | None
    """The thread where its library knows of it."""
    network: Mapping[str, Any]
    """A network that shows it, as `Network.from_json` reads it."""
    others: bool = False
    """Whether paths of one's own show it, too: all that differentiate by the operator of torch's that has it."""

    def arguments(self) -> dict[str, Any]:
        """Those of the condition."""
        return {name: value for name, value in self.when.items() if name != "condition"}

    def here(self) -> bool:
        """Whether the version that is installed is the entry's."""
        return in_range(versions().get(self.library), self.versions)

    def concerns(self, failure: Failure) -> bool:
        """Whether path, property, kind and the version that is installed are the entry's.

        What lies outside the enclosure is so in all properties that judge values by it, or by exact ones; and a wrong
        forward pass is one, whichever saw it.
        """
        if failure.path == FORWARD:
            return FORWARD in self.paths and failure.kind == self.kind and self.here()
        alike = failure.property == self.property or (
            self.property == "enclosure" and isinstance(PROPERTIES.get(failure.property), WithCases)
        )
        shows = failure.path in self.paths or (self.others and failure.path not in SHIPPED)
        return shows and alike and failure.kind == self.kind and self.here()


@lru_cache(maxsize=1)
def register() -> tuple[Defect, ...]:
    """All entries."""
    data = json.loads(files("jaccheck.defects").joinpath("known_defects.json").read_text(encoding="utf-8"))
    return tuple(Defect(**{**entry, "paths": tuple(entry["paths"])}) for entry in data["defects"])


def in_range(version: str | None, comparisons: str) -> bool:
    """Whether a version such as "2.13.0+cpu" keeps all of the comparisons, by its leading numbers."""
    if version is None:
        return False
    compared = {">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt, "==": operator.eq}
    for comparison in comparisons.split(","):
        parts = re.fullmatch(r"\s*(>=|<=|<|>|==)\s*([\d.]+)\s*", comparison)
        if parts is None:
            raise InvalidProblem(f"{comparison!r} is no comparison of versions, such as >=1.6")
        if not compared[parts[1]](_numbers(version), _numbers(parts[2])):
            return False
    return True


def _numbers(version: str) -> tuple[int, int, int]:
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    if found is None:
        raise InvalidProblem(f"{version!r} is no version, such as 1.7.1")
    return int(found[1]), int(found[2] or 0), int(found[3] or 0)
