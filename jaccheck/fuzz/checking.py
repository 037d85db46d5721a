"""One network checked: what each path's verdict is, what is wrong and not known, and what of it is kept for ever."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isinf
from traceback import format_exception
from typing import NamedTuple

import torch

from jaccheck._errors import InvalidProblem
from jaccheck._finding import CRASH, Failure, Finding
from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck._report import Report, Verdict
from jaccheck.defects.known import looked_up
from jaccheck.defects.register import Defect
from jaccheck.fuzz.features import features, kinds, leaves
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.turns import counted_as, turn


class PathRow(NamedTuple):
    """What a log keeps of a verdict."""

    path: str
    status: str
    """That of the verdict, or "known" for a disagreement that is a known defect."""
    kind: str | None
    property: str
    ratio: float | None
    """``|got - centre| / radius`` of the worst element outside."""
    sharpness: float | None
    """The verdict's resolution, if finite, in u: the smallest error that would certainly have been caught."""
    seconds: float | None
    """The path's own time."""
    elements: int
    vacuous: int


class Asked(NamedTuple):
    """Properties asked together, the time it took, and for each path the status that each of them gave."""

    properties: tuple[str, ...]
    seconds: float
    statuses: tuple[tuple[str, str, str], ...]  # path, property, status

    @property
    def name(self) -> str:
        """By which the time is counted."""
        return counted_as(self.properties)


@dataclass(frozen=True)
class Row:
    """What a log keeps of a network."""

    index: int
    """Its number in the campaign; negative if it was not drawn but came from the database of failures."""
    outcome: str
    """"checked", "refused" (`check` says it is invalid), "fault" (jaccheck itself raised), "crashed" or "hung"."""
    seconds: float
    dtype: str
    device: str
    N: int
    C: int
    depth: int
    """Linear layers."""
    parameters: int
    layers: tuple[str, ...]
    """Kinds of layers, each once, sorted."""
    features: int
    """Bits, see `jaccheck.fuzz.features`."""
    asked: tuple[Asked, ...] = ()
    paths: tuple[PathRow, ...] = ()
    known: tuple[str, ...] = ()
    """Known defects that it shows."""
    failures: tuple[Failure, ...] = ()
    refused: str | None = None
    """Why."""


@dataclass
class Answer:
    """What the check of one network by some properties says."""

    report: Report
    known: Mapping[Failure, tuple[Defect, ...]]
    found: dict[Failure, Finding] = field(default_factory=dict)

    def status(self, verdict: Verdict, law: str | None = None) -> str:
        """The verdict's, or "known"; with `law`, what that property alone gave."""
        for failures, status in ((self.found, "disagrees"), (self.known, "known")):
            if any(failure.path == verdict.path and law in (None, failure.property) for failure in failures):
                return status
        return "agrees" if verdict.status == "disagrees" else verdict.status


def asked(
    plan: Plan,
    network: Network,
    paths: tuple[str, ...],
    properties: tuple[str, ...],
    *,
    words: bool = True,
    images: bool = False,
) -> Answer:
    """Check `network`, and tell what is known from what isn't; without `words`, a second check finds these if need be.

    That is for networks with nothing new, as nearly all are while none has been found.
    """
    report, reports, known = looked_up(network, paths, properties, known_too=plan.known, words=words, images=images)
    if reports.keys() != known.keys() and not words:
        _, again, known_again = looked_up(network, paths, properties, known_too=plan.known)
        reports, known = reports | again, known | known_again  # what comes and goes stays
    found = {
        failure: Finding(failure, network, plan.paths, _noting(told, failure.property, known))
        for failure, told in reports.items()
        if failure not in known
    }
    return Answer(report, known, found)


def _noting(report: Report, law: str, known: Mapping[Failure, tuple[Defect, ...]]) -> Report:
    """`report`, where it says of other paths' wrong values which are known defects."""
    verdicts = dict(report.verdicts)
    for failure, defects in known.items():
        verdict = verdicts.get(failure.path)
        if failure.property == law and verdict is not None and verdict.status == "disagrees":
            words = f"known: {', '.join(defect.id for defect in defects)}"
            verdicts[failure.path] = replace(verdict, reason="\n".join(filter(None, (words, verdict.reason))))
    return replace(report, verdicts=verdicts)


def found_on(
    plan: Plan, network: Network, paths: tuple[str, ...], properties: tuple[str, ...]
) -> dict[Failure, Finding]:
    """What is wrong on `network` and not known; nothing if it is invalid."""
    try:
        return asked(plan, network, paths, properties).found
    except InvalidProblem:
        return {}
    except Exception as error:
        return _fault(plan, network, error)


def _fault(plan: Plan, network: Network, error: Exception) -> dict[Failure, Finding]:
    """jaccheck's own fault is a finding, too."""
    failure = Failure(CRASH, CRASH, type(error).__name__)
    return {failure: Finding(failure, network, plan.paths, crash="".join(format_exception(error)))}


def checked(plan: Plan, index: int, network: Network, spent: Mapping[str, float]) -> tuple[Row, dict[Failure, Finding]]:
    """Check one network: its row, and the findings on it."""
    found: dict[Failure, Finding] = {}
    answers: list[Answer] = []
    parts: list[Asked] = []
    outcome, refused = "checked", None
    begin = start = time.perf_counter()
    try:
        for properties in turn(plan, index, network, spent):
            answer = asked(plan, network, plan.paths, properties, words=False)
            now = time.perf_counter()
            statuses = tuple(
                (path, law, answer.status(verdict, law))
                for path, verdict in answer.report.verdicts.items()
                for law in properties
            )
            answers.append(answer)
            parts.append(Asked(properties, now - start, statuses))
            start = now
        for answer in answers:
            found.update(answer.found)
    except InvalidProblem as error:
        outcome, refused = "refused", str(error)
    except Exception as error:
        outcome, found = "fault", _fault(plan, network, error)
    whole = answers if outcome == "checked" else []
    row = described(
        index,
        network,
        outcome,
        seconds=time.perf_counter() - begin,
        asked=tuple(parts) if outcome == "checked" else (),
        paths=tuple(_path_rows(network, whole)),
        known=tuple(sorted({d.id for answer in whole for defects in answer.known.values() for d in defects})),
        failures=tuple(found),
        refused=refused,
    )
    return row, found


def described(index: int, network: Network, outcome: str, **rest: object) -> Row:
    """A row with what the network's description says."""
    return Row(
        index=index,
        outcome=outcome,
        dtype=network.dtype,
        device=network.device,
        N=network.batch,
        C=network.outputs,
        depth=sum(isinstance(layer, Linear) for layer in leaves(network)),
        parameters=network.parameters,
        layers=kinds(network),
        features=features(network),
        **rest,  # type: ignore[arg-type]
    )


def _path_rows(network: Network, answers: list[Answer]) -> list[PathRow]:
    """One for each path: the worst verdict of all answers; elements and times are those of the first."""
    if not answers:
        return []
    u = torch.finfo(getattr(torch, network.dtype)).eps / 2
    rows = []
    for path, first in answers[0].report.verdicts.items():
        every = [(answer.status(answer.report.verdicts[path]), answer.report.verdicts[path]) for answer in answers]
        bad = [pair for pair in every if pair[0] == "disagrees"] or [pair for pair in every if pair[0] == "known"]
        status, verdict = (bad or every)[0]
        sharpness = None if first.resolution is None or isinf(first.resolution / u) else first.resolution / u
        rows.append(
            PathRow(
                path,
                status,
                verdict.kind,
                verdict.property,
                verdict.ratio,
                sharpness,
                first.seconds,
                first.elements,
                first.vacuous,
            )
        )
    return rows
