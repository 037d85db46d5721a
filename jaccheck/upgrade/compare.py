"""Two records side by side: which paths changed, by how much, and whether the enclosure holds both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from jaccheck._errors import InvalidProblem
from jaccheck._report import Verdict
from jaccheck.upgrade.record import Jacobian, Record, Recorded
from jaccheck.upgrade.ulps import ulps


@dataclass(frozen=True)
class Place:
    """The element of a Jacobian that changed most, in radii of its enclosure; where there is none, most at all."""

    parameter: str
    index: tuple[int, ...]
    """``(n, c, *index in the parameter)``."""
    before: float
    after: float
    centre: float | None
    radius: float | None
    """Of the enclosure of the record after; None where there is none."""


@dataclass(frozen=True)
class Change:
    """What became of one path on one network."""

    network: str
    path: str
    dtype: str
    before: str
    after: str
    """The verdicts' statuses."""
    reason: str | None = None
    """Why a path disagrees, or is unsupported, on one side alone."""
    elements: int = 0
    """That changed, where both sides have a Jacobian."""
    ulps: float = 0.0
    """The largest change, in numbers of the dtype between the two."""
    radii: float = 0.0
    """The largest change, in radii of the enclosure after."""
    outside_before: int = 0
    outside_after: int = 0
    """Elements that changed and lie outside the enclosure of their side."""
    place: Place | None = None

    @property
    def changed(self) -> bool:
        """Whether any value did."""
        return self.elements > 0

    @property
    def beyond(self) -> bool:
        """Whether rounding doesn't explain it: a value changed that an enclosure doesn't hold, or agreement ended."""
        broke = self.after == "disagrees" != self.before
        return self.outside_before + self.outside_after > 0 or broke


@dataclass(frozen=True)
class Comparison:
    """All paths on all networks, of two records."""

    before: Record
    after: Record
    changes: tuple[Change, ...]
    left_out: tuple[str, ...] = ()
    """Paths that one of the records has alone."""

    @property
    def ok(self) -> bool:
        """Whether nothing changed beyond the enclosure."""
        return not any(change.beyond for change in self.changes)

    def data(self) -> dict[str, Any]:
        """All of it as JSON has it; a number that isn't finite is None."""
        return {
            "format": 1,
            "ok": self.ok,
            **{
                side: {"versions": dict(record.versions), "machine": dict(record.machine)}
                for side, record in (("before", self.before), ("after", self.after))
            },
            "left_out": list(self.left_out),
            "changes": [_plain(change) for change in self.changes],
        }


def compare(before: Record, after: Record) -> Comparison:
    """Compare two records of the same networks.

    Raises:
        InvalidProblem: they hold other networks, or have no path in common.
    """
    one, other = before.networks, after.networks
    differ = [name for name in (*one, *other) if name not in one or name not in other]
    differ += [name for name in one if name in other and one[name].network != other[name].network]
    if differ:
        few = ", ".join(dict.fromkeys(differ[:3])) + ("" if len(differ) <= 3 else ", …")
        raise InvalidProblem(f"the records are of other networks ({few}); make both with the same jaccheck and device")
    paths = [path for path in before.paths if path in after.paths]
    if not paths:
        raise InvalidProblem("the records have no path in common")
    changes = (_change(name, path, found, other[name]) for name, found in one.items() for path in paths)
    left_out = tuple(path for path in (*before.paths, *after.paths) if path not in paths)
    return Comparison(before, after, tuple(changes), left_out)


def _change(name: str, path: str, before: Recorded, after: Recorded) -> Change:
    said = before.report.verdicts[path], after.report.verdicts[path]
    facts: dict[str, Any] = {
        "network": name,
        "path": path,
        "dtype": after.report.problem.dtype,
        "before": said[0].status,
        "after": said[1].status,
        "reason": _reason(*said),
    }
    if path not in before.jacobians or path not in after.jacobians:
        return Change(**facts)
    elements, steps, radii = 0, 0.0, 0.0
    farthest = 0.0
    outside = [0, 0]
    place: Place | None = None
    for parameter, a, b in _pairs(before.jacobians[path], after.jacobians[path]):
        apart = ulps(a, b)
        moved = apart > 0
        if not moved.any():
            continue
        elements += int(moved.sum())
        steps = max(steps, float(apart.max()))
        for side, found, value in ((0, before, a), (1, after, b)):
            if path in found.enclosures:
                outside[side] += int((found.enclosures[path][parameter].excludes(value) & moved).sum())
        ball = after.enclosures[path][parameter] if path in after.enclosures else None
        distance = (a.double() - b.double()).abs().nan_to_num(nan=inf)
        relative = distance if ball is None else torch.where(moved, distance / ball.radius, 0.0).nan_to_num(nan=inf)
        most = float(relative.max())
        if place is None or most > farthest:
            farthest = most
            flat = torch.tensor(int(relative.argmax()), device="cpu")
            index = tuple(int(i) for i in torch.unravel_index(flat, a.shape))
            known = (None, None) if ball is None else (float(ball.centre[index]), float(ball.radius[index]))
            place = Place(parameter, index, float(a[index]), float(b[index]), *known)
        radii = max(radii, most) if ball is not None else radii
    return Change(
        **facts,
        elements=elements,
        ulps=steps,
        radii=radii,
        outside_before=outside[0],
        outside_after=outside[1],
        place=place,
    )


def _pairs(before: Jacobian, after: Jacobian) -> Iterator[tuple[str, Tensor, Tensor]]:
    for parameter, a in before.items():
        if a.numel():
            yield parameter, a, after[parameter]


def _reason(before: Verdict, after: Verdict) -> str | None:
    """In the words of the side on which the path does worse."""
    if before.status == after.status:
        return None
    worse = after if before.status == "agrees" else before
    return worse.reason or worse.kind


def _plain(change: Change) -> dict[str, Any]:
    found = dict(vars(change))
    if change.place is not None:
        place = dict(vars(change.place), index=list(change.place.index))
        found["place"] = {name: _number(value) for name, value in place.items()}
    return {name: _number(value) for name, value in found.items()} | {"beyond": change.beyond}


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not abs(value) < inf else value
