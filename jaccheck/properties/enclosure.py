"""The Jacobian lies in the enclosure."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isinf
from typing import Any

import torch
from torch import Tensor

from jaccheck._report import Verdict
from jaccheck.paths import extra_roundings, mode
from jaccheck.properties._trial import Trial


class Enclosure:
    """Each path's Jacobian has the right names, shapes and dtype, and lies in the enclosure element by element."""

    name = "enclosure"

    def judge(self, trial: Trial) -> Verdict:
        run, path = trial.run, trial.path.name
        elements = _elements(trial)
        if run.unsupported is not None:
            return Verdict(path, "unsupported", reason=run.unsupported, elements=elements, seconds=run.seconds)
        if run.raised is not None:
            reason = f"{type(run.raised).__name__}: {run.raised}"
            return Verdict(path, "disagrees", "raised", reason=reason, elements=elements, seconds=run.seconds)
        malformed = self._malformed(trial, run.jacobian)
        if malformed is not None:
            return malformed
        if trial.judge.reason is not None:
            reason = trial.judge.reason
            return Verdict(path, "vacuous", reason=reason, elements=elements, vacuous=elements, seconds=run.seconds)
        found = trial.judge.compare(
            run.jacobian, mode=mode(trial.path), extra_roundings=extra_roundings(trial.path)
        )
        common: dict[str, Any] = {
            "elements": elements,
            "vacuous": found.vacuous,
            "resolutions": found.resolutions,
            "resolution": max(found.resolutions.values(), default=None) if found.vacuous < elements else None,
            "seconds": run.seconds,
        }
        if found.worst is not None:
            ratio, name, index, got, centre, radius = found.worst
            return Verdict(
                path,
                "disagrees",
                "value",
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

    def _malformed(self, trial: Trial, jacobian: Any) -> Verdict | None:
        """What is wrong with the result before one looks at its values."""
        problem, path = trial.problem, trial.path.name

        def verdict(kind: str, reason: str, parameter: str | None = None) -> Verdict:
            shape = None if parameter is None else tuple(problem.parameters[parameter].shape)
            seconds = trial.run.seconds
            return Verdict(
                path,
                "disagrees",
                kind,
                reason=reason,
                parameter=parameter,
                shape=shape,
                elements=_elements(trial),
                seconds=seconds,
            )

        if not isinstance(jacobian, Mapping):
            return verdict("missing", f"it returned {_described(jacobian)}, but should a dict of tensors by name")
        for name, p in problem.parameters.items():
            if name not in jacobian:
                there = ", ".join(map(repr, jacobian)) or "none"
                return verdict("missing", f"there is no Jacobian of {name!r}, but of: {there}", name)
            j = jacobian[name]
            if not isinstance(j, Tensor):
                return verdict("missing", f"the Jacobian of {name!r} is {_described(j)}, not a tensor", name)
            expected = (problem.N, problem.C, *p.shape)
            if j.shape != expected:
                return verdict("shape", f"it has shape {list(j.shape)}, but should be {list(expected)}", name)
            for what, got, wanted in (
                ("dtype", j.dtype, problem.dtype),
                ("device", j.device, problem.device),
                ("layout", j.layout, torch.strided),
            ):
                if got != wanted:
                    return verdict("shape", f"its {what} is {got}, but should be {wanted}", name)
        unknown = [repr(name) for name in jacobian if name not in problem.parameters]
        if unknown:
            return verdict("missing", f"there are Jacobians of no trainable parameter: {', '.join(unknown)}")
        return None


def _elements(trial: Trial) -> int:
    problem = trial.problem
    return problem.N * problem.C * sum(p.numel() for p in problem.parameters.values())


def _described(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference of two Jacobians; inf where only one of them is finite.

    Where both are the same infinity, or both NaN, they don't differ.
    """
    largest = 0.0
    for name in one.keys() & other.keys():
        a, b = one[name].double(), other[name].double()
        if a.shape != b.shape or not a.numel():
            continue
        same = (a == b) | (a.isnan() & b.isnan())
        largest = max(largest, float(torch.where(same, 0.0, (a - b).abs().nan_to_num(nan=inf)).max()))
        if isinf(largest):
            break
    return largest
