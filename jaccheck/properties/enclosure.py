"""The Jacobian lies in the enclosure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isinf
from typing import Any

import torch
from torch import Tensor

from jaccheck._report import Verdict
from jaccheck._same import same
from jaccheck.judging.form import malformed
from jaccheck.judging.judge import Comparison
from jaccheck.judging.trial import Trial
from jaccheck.paths import SHIPPED, rounding


class Enclosure:
    """Each path's Jacobian has the right names, shapes and dtype, and lies in the enclosure element by element."""

    name = "enclosure"
    cheap = True

    def judge(self, trial: Trial) -> Verdict:
        run, path = trial.run, trial.path.name
        elements = trial.problem.elements
        if run.unsupported is not None:
            return Verdict(path, "unsupported", reason=run.unsupported, elements=elements, seconds=run.seconds)
        if run.raised is not None:
            doubt = trial.judge.not_differentiable
            if doubt is not None:
                return Verdict(path, "vacuous", reason=doubt, elements=elements, vacuous=elements, seconds=run.seconds)
            return Verdict(path, "disagrees", "raised", reason=run.exception, elements=elements, seconds=run.seconds)
        fault = malformed(trial.problem, run.jacobian)
        if fault is not None:
            shape = None if fault.parameter is None else tuple(trial.problem.parameters[fault.parameter].shape)
            facts: dict[str, Any] = {
                "parameter": fault.parameter,
                "shape": shape,
                "elements": elements,
                "seconds": run.seconds,
            }
            return Verdict(path, "disagrees", fault.kind, reason=fault.reason, **facts)
        if trial.judge.reason is not None:
            reason = trial.judge.reason
            return Verdict(path, "vacuous", reason=reason, elements=elements, vacuous=elements, seconds=run.seconds)
        found = trial.judge.compare(run.jacobian, rounding(trial.path))
        common: dict[str, Any] = {
            "elements": elements,
            "vacuous": found.vacuous,
            "resolutions": found.resolutions,
            "resolution": max(found.resolutions.values(), default=None) if found.vacuous < elements else None,
            "seconds": run.seconds,
        }
        if found.doubt is not None:
            return Verdict(path, "vacuous", reason=found.doubt, **{**common, "vacuous": elements, "resolution": None})
        if found.worst is not None:
            ratio, name, index, got, centre, radius = found.worst
            return Verdict(
                path,
                "disagrees",
                "value",
                reason=UNDECLARED if _holds_forward(trial, found) else None,
                parameter=name,
                shape=tuple(trial.problem.parameters[name].shape),
                index=index,
                got=got,
                centre=centre,
                radius=radius,
                ratio=ratio,
                outside=found.outside,
                **common,
            )
        if elements and found.vacuous == elements:
            reason = f"nothing is known of any element: {trial.problem.dtype} overflows, or the input isn't finite"
            return Verdict(path, "vacuous", reason=reason.replace("torch.", ""), **common)
        return Verdict(path, "agrees", **common)


UNDECLARED = 'it lies in the enclosure of forward mode: a path that goes that way has to say so, by `mode = "forward"`'


def _holds_forward(trial: Trial, found: Comparison) -> bool:
    """Whether what is wrong for a path of a user's, which goes backward unless it says otherwise, is right forward."""
    how = rounding(trial.path)
    if trial.path.name in SHIPPED or how.mode == "forward":
        return False
    forward = trial.judge.compare(trial.run.jacobian, how._replace(mode="forward"))
    return forward.worst is None and forward.vacuous <= found.vacuous


def no_jacobian(trial: Trial, verdict: Verdict) -> bool:
    """Whether the path gave nothing of which more could be asked, as `verdict`, the enclosure's, says."""
    return trial.run.raised is not None or (verdict.status == "disagrees" and verdict.kind != "value")


def begun(own: Verdict, law: str) -> Verdict:
    """The enclosure's verdict as a `law`'s that gets no further: what is wrong stays the enclosure's."""
    return own if own.status == "disagrees" else replace(own, property=law)


def largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference of two Jacobians; inf where only one of them is finite.

    Where both are the same infinity, or both NaN, they don't differ.
    """
    largest = 0.0
    for name in one.keys() & other.keys():
        a, b = one[name].double(), other[name].double()
        if a.shape != b.shape or not a.numel():
            continue
        largest = max(largest, float(torch.where(same(a, b), 0.0, (a - b).abs().nan_to_num(nan=inf)).max()))
        if isinf(largest):
            break
    return largest
