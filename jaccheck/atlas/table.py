"""Surveys as text: a line for each, and below what is wrong, or needlessly inaccurate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from jaccheck._text import aligned
from jaccheck.atlas.survey import ACCURATE, INACCURATE, Course, Survey

MARKS = {"wrong": "!", "known": "!", "needlessly inaccurate": "*"}
LEGEND = (
    "the largest error in ulps of the correctly rounded derivative; "
    f"! outside the enclosure; * over {INACCURATE:g} ulps where another path is under {ACCURATE:g}; - unsupported"
)


def table(surveys: Sequence[Survey]) -> str:
    """All of it."""
    paths = list(surveys[0].courses)
    rows = [["activation", "dtype", *paths]]
    rows += [[one.name, one.dtype, *(_cell(one.courses[path]) for path in paths)] for one in surveys]
    remarks = [remark for one in surveys for remark in _remarks(one)]
    return "\n".join([*(line[2:] for line in aligned(rows, left=2)), LEGEND, *remarks])


def _cell(course: Course) -> str:
    if course.unsupported is not None:
        return "-"
    return f"{_number(course.worst)}{MARKS.get(course.status, '')}"


def _number(ulps: float) -> str:
    return "inf" if ulps == inf else f"{ulps:.0f}" if ulps >= 100 or ulps == round(ulps) else f"{ulps:.1f}"


def _remarks(one: Survey) -> Iterator[str]:
    """What of a survey needs more than a number; the same of several paths once."""
    if one.interrupted:
        yield f"{one.name}, {one.dtype}: interrupted after {one.arguments:,} arguments"
    said: dict[str, list[str]] = {}
    for course in one.courses.values():
        if course.status in MARKS:
            said.setdefault(_remark(course), []).append(course.path)
    for words, paths in said.items():
        yield f"{one.name}, {one.dtype}, {', '.join(paths)}: {words}"


def _remark(course: Course) -> str:
    worst = f"the worst at {course.at!r}, {course.got!r} for {course.expected!r}"
    if course.outside:
        known = f" ({', '.join(course.known)})" if course.known else ""
        return f"outside the enclosure at {course.outside} arguments{known}; {worst}"
    return f"needlessly inaccurate at {course.needless} arguments; {worst}"
