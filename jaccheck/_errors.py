"""What jaccheck raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaccheck._report import Report


class InvalidProblem(ValueError):
    """The model, the input or the network's description can't be used; the message says why and what to do."""


class Unsupported(Exception):
    """A path, or the enclosure, can't do this model; the message names the layer and the reason."""


class Disagreement(AssertionError):
    """A path lies outside the enclosure, or breaks another property; the message is the report."""

    report: Report | None = None
