"""A comparison for a person: what each path did in each dtype, then what changed other than by rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from jaccheck._text import aligned
from jaccheck.upgrade.compare import Change, Comparison
from jaccheck.upgrade.record import Record

MOST = 10
"""Changes beyond the enclosure that are shown one by one."""


def text(comparison: Comparison) -> str:
    """Both sides, a row for each path and dtype, and every change that rounding doesn't explain, or the first ten."""
    sides = [
        f"{side}  {_side(record)}" for side, record in (("before", comparison.before), ("after ", comparison.after))
    ]
    return "\n".join([*sides, *_table(comparison.changes), *_notes(comparison), _summary(comparison)])


def _side(record: Record) -> str:
    names = [f"{name} {version}" for name, version in record.versions.items()]
    return ", ".join([*names, *record.machine.values()])


def _table(changes: Sequence[Change]) -> Iterator[str]:
    heads = ("path", "dtype", "networks", "changed", "elements", "ulps", "radii", "beyond")
    rows = [heads]
    for path, dtype in dict.fromkeys((change.path, change.dtype) for change in changes):
        group = [change for change in changes if (change.path, change.dtype) == (path, dtype)]
        both = [change for change in group if "unsupported" not in (change.before, change.after)]
        moved = [change for change in group if change.changed]
        numbers = (
            str(len(both)),
            str(len(moved)),
            str(sum(change.elements for change in moved)),
            _count(max((change.ulps for change in moved), default=0.0)),
            f"{max((change.radii for change in moved), default=0.0):.2g}",
            str(sum(change.beyond for change in group)),
        )
        rows.append((path, dtype, *numbers))
    yield from aligned(rows, left=2)


def _notes(comparison: Comparison) -> Iterator[str]:
    if comparison.left_out:
        yield f"  left out  {', '.join(comparison.left_out)}: in one of the records alone"
    if comparison.before.machine != comparison.after.machine:
        yield "  machine   the records are of different processors, which change more bits than most versions do"
    turned: dict[tuple[str, str, str, str], list[Change]] = {}
    for change in comparison.changes:
        if change.before != change.after:
            turned.setdefault((change.path, change.before, change.after, change.reason or ""), []).append(change)
    for (path, before, after, reason), group in turned.items():
        dtypes = ", ".join(dict.fromkeys(change.dtype for change in group))
        why = f": {' '.join(reason.split())}" if reason else ""
        yield f"  verdict   {path}, {len(group)} of {dtypes}: {before} -> {after}{why}"
    beyond = [change for change in comparison.changes if change.beyond]
    for change in beyond[:MOST]:
        yield from _beyond(change)
    if len(beyond) > MOST:
        yield f"  and {len(beyond) - MOST} more beyond the enclosure; --json has all"


def _beyond(change: Change) -> Iterator[str]:
    what = f"  beyond    {change.path} on {change.network}"
    place = change.place
    if place is None:
        yield f"{what}: {change.before} -> {change.after}"
        return
    known = "" if place.centre is None else f", enclosure {place.centre!r} ± {place.radius:.2g}"
    yield f"{what}: {change.outside_before} elements outside before, {change.outside_after} after"
    yield f"            {place.parameter!r} at {list(place.index)}: {place.before!r} -> {place.after!r}{known}"


def _summary(comparison: Comparison) -> str:
    changes = comparison.changes
    changed, beyond = (sum(getattr(change, what) for change in changes) for what in ("changed", "beyond"))
    said = f"{changed} of {len(changes)} Jacobians changed"
    if beyond:
        return f"{said}, {beyond} beyond the enclosure."
    return f"{said}; the enclosure holds all that did, before and after." if changed else f"{said}."


def _count(number: float) -> str:
    if number == inf:
        return "inf"
    return f"{number:.0f}" if number < 1e6 else f"{number:.1e}"
