"""A report as text: the finding first, then where, the numbers, who agrees, and how to see it again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ._report import ForwardFinding, ProblemFacts, Report, Verdict

DIGITS = {"float64": 17, "float32": 9, "float16": 5, "bfloat16": 4}
"""Decimal digits that tell any two numbers of a dtype apart: 1 + ceil(p log10 2), p its significant bits."""


def text(report: Report) -> str:
    """The report for a person."""
    accused = [verdict for verdict in report.verdicts.values() if verdict.status == "disagrees"]
    if report.ok:
        return "\n".join([summary(report), *table(report), *_again(report)])
    findings = [] if report.forward is None else [_forward(report.forward, report.problem)]
    findings += [_finding(verdict, report.problem) for verdict in accused]
    lines = [line for finding in findings for line in ("", *finding)][1:]
    told = {verdict.path: replace(verdict, reason=None, difference=None) for verdict in accused}
    others = table(replace(report, verdicts={**report.verdicts, **told}))
    return "\n".join([*lines, "", *others, *_again(report)])


def summary(report: Report) -> str:
    """One line: how many paths say what of which problem."""
    counts: dict[str, int] = {}
    for verdict in report.verdicts.values():
        counts[verdict.status] = counts.get(verdict.status, 0) + 1
    said = [f"{number} path{'s' * (number > 1)} {_verb(status, number)}" for status, number in counts.items()]
    apart = max((verdict.difference or 0.0 for verdict in report.verdicts.values()), default=0.0)
    if apart:  # only where there is no enclosure that would judge it
        said.append(f"with differences of up to {apart:.2g}")
    if report.forward is not None:
        said.insert(0, "the forward pass is wrong")
    facts = report.problem
    entries = sum(math.prod(shape) for shape in facts.parameters.values())
    what = f"Jacobian [N={facts.N}, C={facts.C}, {entries} entries of {len(facts.parameters)} parameters]"
    return f"{', '.join(said) or 'no path was asked for'}: {what}, {facts.dtype} on {facts.device}."


def table(report: Report) -> list[str]:
    """One line a path: verdict, resolution, elements about which nothing is known, seconds."""
    head = ("path", "verdict", "resolution", "vacuous", "seconds", "")
    return list(aligned([head, *(cells(verdict) for verdict in report.verdicts.values())]))


def cells(verdict: Verdict) -> tuple[str, str, str, str, str, str]:
    """A verdict as a row: path, verdict, resolution, share of vacuous elements, seconds, reason."""
    said = f"disagrees ({verdict.kind})" if verdict.status == "disagrees" else verdict.status
    return (
        verdict.path,
        said,
        "" if verdict.resolution is None else _short(verdict.resolution),
        _share(verdict),
        ""
        if verdict.seconds is None
        else f"{verdict.seconds:.2g}"
        if verdict.seconds < 10
        else f"{verdict.seconds:.0f}",
        "" if verdict.status == "agrees" else _why(verdict).replace("\n", "; "),
    )


def headline(verdict: Verdict) -> str:
    """Who and what, in one sentence."""
    path, where = repr(verdict.path), "" if verdict.parameter is None else f" for {verdict.parameter!r}"
    if verdict.kind == "value" and verdict.property == "enclosure":
        return f"{path} lies outside the enclosure of the Jacobian."
    says = {
        "value": "gives wrong values",
        "shape": f"gives the wrong shape or dtype{where}",
        "missing": f"gives no Jacobian{where}",
        "raised": "raised an exception",
        "state": _of_state(verdict)[1],
        "nondeterministic": f"gives two different results{where} for the same problem",
    }.get(str(verdict.kind), "disagrees")
    breaks = (
        ""
        if verdict.property == "enclosure" or verdict.property == verdict.kind
        else f" (property {verdict.property!r})"
    )
    return f"{path} {says}{breaks}."


def _of_state(verdict: Verdict) -> tuple[str, str]:
    """What to call the reason of such a verdict, and what it says; of `determinism` it is where results lie."""
    if verdict.property == "determinism":
        return "because", "gives a Jacobian that lies in memory which isn't its own"
    return "changed", "changed what isn't its own, and left it so"


def _finding(verdict: Verdict, facts: ProblemFacts) -> Iterator[str]:
    yield headline(verdict)
    if verdict.reason is not None:
        label = {"raised": "raised", "state": _of_state(verdict)[0]}.get(str(verdict.kind), "because")
        yield from _row(label, verdict.reason)
    if verdict.looks_like is not None:
        yield from _row("looks like", verdict.looks_like)
    if verdict.parameter is not None:
        shape = "" if verdict.shape is None else f" {list(verdict.shape)}"
        yield from _row("parameter", f"{verdict.parameter!r}{shape}, {facts.dtype} on {facts.device}")
    else:
        yield from _row("problem", f"N={facts.N}, C={facts.C}, {facts.dtype} on {facts.device}")
    if verdict.index is not None:
        worst = f", the worst of {verdict.outside} outside, of {verdict.elements}" if verdict.outside else ""
        yield from _row("at", f"[{_index(verdict.index)}]{worst}")
    if verdict.got is not None:
        yield from _row("got", _rounded(verdict.got, facts.dtype))
    if verdict.centre is not None and verdict.radius is not None:
        yield from _row("enclosure", _ball(verdict.centre, verdict.radius, verdict.ratio))
    if verdict.vacuous:
        yield from _row("vacuous", f"{verdict.vacuous} of {verdict.elements} elements: nothing is known of them")
    if verdict.difference is not None:
        yield from _row("difference", f"{_short(verdict.difference)} at most, to the other paths")


def _forward(finding: ForwardFinding, facts: ProblemFacts) -> Iterator[str]:
    yield "The model's own values lie outside their enclosure: its forward pass is wrong, no path is accused."
    if finding.variant is not None:
        yield from _row("property", f"{finding.property}, on another model: {finding.variant}")
    yield from _row("layer", f"{finding.layer!r}, {facts.dtype} on {facts.device}")
    yield from _row("at", str(list(finding.index)))
    yield from _row("got", _rounded(finding.got, facts.dtype))
    yield from _row("enclosure", _ball(finding.centre, finding.radius, finding.ratio))


def _again(report: Report) -> Iterator[str]:
    if report.again is not None:
        yield from _row("again", report.again)


def _row(label: str, value: str) -> Iterator[str]:
    first, *others = value.splitlines() or [""]
    yield f"  {label:<11} {first}".rstrip()
    for line in others:
        yield f"  {'':<11} {line}".rstrip()


def _verb(status: str, number: int) -> str:
    verb = {"agrees": "agree", "disagrees": "disagree"}.get(status)
    if verb is None:
        return f"{'is' if number == 1 else 'are'} {status}"
    return verb + "s" * (number == 1)


def _why(verdict: Verdict) -> str:
    why = [] if verdict.reason is None else [verdict.reason]
    if verdict.difference is not None:
        why.append(f"largest difference to the other paths {_short(verdict.difference)}")
    return "; ".join(why)


def _share(verdict: Verdict) -> str:
    if not verdict.vacuous:
        return "0" if verdict.elements else ""
    return f"{verdict.vacuous} of {verdict.elements} ({percent(verdict.vacuous, verdict.elements)})"


def aligned(rows: Sequence[Sequence[str]], left: int | None = None) -> Iterator[str]:
    """A line for each row, its cells below those of the others: the first `left` columns (None: all) to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)][:left]
        padded += [cell.rjust(width) for cell, width in zip(row, widths, strict=True)][len(padded) :]
        yield f"  {'  '.join(padded)}".rstrip()


def several(number: int, noun: str) -> str:
    """``1 network`` or ``1,200 networks``"""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(part: int, whole: int) -> str:
    """A share in per cent that says 0 only of none and 100 only of all."""
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1 %"
    if 99 < share < 100:
        return ">99 %"
    return f"{share:.0f} %"


def _index(index: tuple[int, ...]) -> str:
    names = [f"{name}={i}" for name, i in zip(("n", "c"), index, strict=False)]
    return ", ".join([*names, *map(str, index[2:])])


def _ball(centre: float, radius: float, ratio: float | None) -> str:
    said = f"{_to(centre, radius)} ± {_short(radius)}"
    return said if ratio is None else f"{said}, ratio |got - centre| / radius = {_short(ratio)}"


def _to(centre: float, radius: float) -> str:
    """`centre`, two decimal digits beyond its radius."""
    if centre == 0 or not math.isfinite(centre) or radius == 0 or not math.isfinite(radius):
        return repr(centre)
    digits = math.floor(math.log10(abs(centre))) - math.floor(math.log10(radius)) + 3
    return _decimal(centre, min(max(digits, 3), 17))


def _rounded(value: float, dtype: str) -> str:
    return _decimal(value, DIGITS.get(dtype, 17))


def _decimal(value: float, digits: int) -> str:
    said = f"{value:.{digits}g}"
    return f"{said}.0" if said.lstrip("-").isdigit() else said


def _short(value: float) -> str:
    return f"{value:.2g}"
