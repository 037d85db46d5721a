"""What a check found: frozen plain data, as text and as JSON. Nothing is computed here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from ._errors import InvalidProblem
from ._needs import needs

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

FORMAT = 1
STATUSES = ("agrees", "disagrees", "unsupported", "vacuous")
COUNTED = ("agrees", "known", "disagrees", "unsupported", "vacuous")
"""Statuses that verdicts are counted by: a disagreement that is a known defect is one of its own."""
KINDS = ("value", "shape", "missing", "raised", "state", "nondeterministic")


@dataclass(frozen=True)
class Verdict:
    """What a check says of one path."""

    path: str
    status: str
    """"agrees", "disagrees", "unsupported" or "vacuous" (nothing was left to say)."""
    kind: str | None = None
    """Of a disagreement: "value", "shape", "missing", "raised", "state" or "nondeterministic"."""
    property: str = "enclosure"
    """The property that says it."""
    reason: str | None = None
    """In words, one or more lines: why unsupported or vacuous, what was raised, what has changed."""
    looks_like: str | None = None
    """In words what the error looks like, where it fits one of the usual shapes: proven of all elements."""
    error_shape: str | None = None
    """That shape in a word or two, the same for the same kind of fault: "factor", "sign", "transposed axes", …"""
    parameter: str | None = None
    shape: tuple[int, ...] | None = None
    """Of that parameter."""
    index: tuple[int, ...] | None = None
    """``(n, c, *index in the parameter)`` of the worst element."""
    got: float | None = None
    centre: float | None = None
    radius: float | None = None
    ratio: float | None = None
    """``|got - centre| / radius``; more than 1 is outside."""
    outside: int = 0
    """Elements outside the enclosure, over all parameters."""
    elements: int = 0
    """Elements of the Jacobian, over all parameters."""
    vacuous: int = 0
    """Elements of which the enclosure says nothing (infinite radius)."""
    resolution: float | None = None
    """The smallest error that would certainly have been caught, relative to the largest entry of its parameter's
    Jacobian, in elements of which something is known; the worst over the parameters. Infinite where nothing is known of
    a parameter."""
    resolutions: Mapping[str, float] = field(default_factory=dict)
    """The same for each parameter."""
    difference: float | None = None
    """Where nothing is known of it, or of the other: the largest difference to any other path, in units of the
    Jacobian."""
    seconds: float | None = None
    """The path's own time."""


@dataclass(frozen=True)
class ForwardFinding:
    """The model's own values lie outside the forward enclosure: no path is accused, the forward pass is wrong."""

    layer: str
    """Where it begins: the first layer whose output lies outside."""
    index: tuple[int, ...]
    """Of the worst element in that layer's output."""
    got: float
    centre: float
    radius: float
    ratio: float
    property: str = "enclosure"
    """That which saw it: some look at other models, made of the model's own layers."""
    variant: str | None = None
    """Which of these models it is, in words; None: the one that was checked."""


@dataclass(frozen=True)
class ProblemFacts:
    """The problem a report speaks of, in plain words and numbers."""

    N: int
    C: int
    parameters: Mapping[str, tuple[int, ...]]
    """Name to shape, in the model's order."""
    dtype: str
    """"float32"."""
    device: str
    """"cpu", "cuda:0"."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of torch, backpack, python and jaccheck."""


@dataclass(frozen=True)
class Image:
    """A path's Jacobian as a picture: samples and outputs ``n C + c`` down, all parameters' entries across.

    Cell (i, j) of a picture ``[h, w]`` stands for rows ``i rows / h`` to ``(i + 1) rows / h``, and columns likewise.
    """

    rows: int
    """``N C``."""
    columns: int
    """``P``, the entries of all parameters."""
    values: tuple[tuple[float, ...], ...]
    """``[h, w]``: the cell's entry of largest magnitude."""
    outside: tuple[tuple[float, ...], ...]
    """``[h, w]``: the share of the cell's entries outside the enclosure, 0 to 1; NaN where all of them are vacuous."""


@dataclass(frozen=True)
class Report:
    """What a check found, path by path. `str(report)` is for a person, `report.to_json()` for a program.

    Two reports are equal if they say the same of the same problem; their pictures don't count.
    """

    verdicts: Mapping[str, Verdict]
    problem: ProblemFacts
    forward: ForwardFinding | None = None
    again: str | None = None
    """A Python expression that runs this check again."""
    images: Mapping[str, Image] = field(default_factory=dict, compare=False, repr=False)

    @property
    def ok(self) -> bool:
        """False iff a path disagrees, or the model's own values are wrong."""
        return self.forward is None and all(v.status != "disagrees" for v in self.verdicts.values())

    def __str__(self) -> str:
        from ._text import text

        return text(self)

    def to_json(self, *, images: bool = False, indent: int | None = None) -> str:
        """This report as strict JSON (RFC 8259), in the schema of ``jaccheck/report.schema.json``.

        A number that is not finite is the string "NaN", "Infinity" or "-Infinity". The pictures' data is large, and
        left out unless `images` asks for it.
        """
        return json.dumps(self.data(images=images), allow_nan=False, indent=indent, ensure_ascii=False)

    def data(self, *, images: bool = False) -> dict[str, Any]:
        """What `to_json` writes, as dicts, lists, strings and numbers."""
        return {"format": FORMAT, "ok": self.ok, **_plain(replace(self, images=self.images if images else {}))}

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report that `to_json` wrote.

        Raises:
            InvalidProblem: `text` isn't such a report; the message names the field.
        """
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InvalidProblem(f"a report should be JSON, but: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InvalidProblem(f"a report should be an object with format {FORMAT}, but is {text[:60]!r}")
        report: Report = _read(cls, data, "report")
        for path, verdict in report.verdicts.items():
            if verdict.status not in STATUSES or verdict.kind not in (None, *KINDS):
                raise InvalidProblem(f"report.verdicts.{path} has status {verdict.status!r} and kind {verdict.kind!r}")
        return report

    def plot(self, file: str | os.PathLike[str] | None = None) -> Figure:
        """Draw each path's Jacobian as ``[N C, P]`` picture, and below it where it leaves the enclosure.

        Args:
            file: where to save it; the suffix says in which format (.png, .pdf, .svg).
        Returns:
            The figure, which belongs to no window and to none of pyplot's figures.
        Raises:
            ImportError: matplotlib isn't there.
            InvalidProblem: this report holds no pictures, or `file` has a suffix that matplotlib can't write.
            OSError: `file` can't be written.
        """
        with needs("plot()"):
            from ._plot import figure, saved
        return saved(figure(self), file)


def _plain(value: Any) -> Any:
    """`value`, of dataclasses, mappings, tuples and numbers, as strict JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value`, out of JSON, as the type `kind` of a dataclass's field; the opposite of `_plain`."""
    if isinstance(kind, type) and is_dataclass(kind):
        members = _read(dict, value, where)
        hints = get_type_hints(kind)
        for f in fields(kind):
            if f.name not in members and f.default is MISSING and f.default_factory is MISSING:
                raise InvalidProblem(f"{where}.{f.name} is missing")
        return kind(**{name: _read(hints[name], members[name], f"{where}.{name}") for name in hints if name in members})
    origin, arguments = get_origin(kind), get_args(kind)
    if type(None) in arguments:
        return None if value is None else _read(arguments[0], value, where)
    if origin is Mapping:
        members = _read(dict, value, where)
        return {name: _read(arguments[1], item, f"{where}.{name}") for name, item in members.items()}
    if origin is tuple:
        return tuple(_read(arguments[0], item, where) for item in _read(list, value, where))
    if kind is float and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise InvalidProblem(f"{where} should be {_WORDS[kind]}, but is {str(value)[:60]!r}")
    return value


_WORDS = {dict: "an object", list: "a list", str: "a string", int: "an integer", float: "a number", bool: "a boolean"}
