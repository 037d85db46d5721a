"""What is wrong with a path's result before one looks at its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jaccheck._problem import Problem


class Fault(NamedTuple):
    """A result that isn't one tensor of the right form for each trainable parameter."""

    kind: str  # of a verdict: "missing" or "shape"
    reason: str
    parameter: str | None = None


def malformed(problem: Problem, jacobian: Any) -> Fault | None:
    """The first fault in the form of `jacobian`, whatever a path has returned; None if there is none."""
    if not isinstance(jacobian, Mapping):
        return Fault("missing", f"it returned {_described(jacobian)}, but should return a dict of tensors by name")
    for name, expected in problem.shapes.items():
        if name not in jacobian:
            there = ", ".join(map(repr, jacobian)) or "none"
            return Fault("missing", f"there is no Jacobian of {name!r}, but of: {there}", name)
        j = jacobian[name]
        if not isinstance(j, Tensor):
            return Fault("missing", f"the Jacobian of {name!r} is {_described(j)}, not a tensor", name)
        if j.is_nested:
            return Fault("shape", "it is a nested tensor", name)
        if j.shape != expected:
            return Fault("shape", f"it has shape {list(j.shape)}, but should be {list(expected)}", name)
        forms = (j.dtype, j.device, j.layout), (problem.dtype, problem.device, torch.strided)
        if forms[0] != forms[1]:
            found = zip(("dtype", "device", "layout"), *forms, strict=True)
            what, got, wanted = next(form for form in found if form[1] != form[2])
            return Fault("shape", f"its {what} is {got}, but should be {wanted}", name)
        if j.is_inference() and not torch.is_inference_mode_enabled():
            return Fault("shape", "it is an inference tensor, which autograd can't use", name)
    unknown = [repr(name) for name in jacobian if name not in problem.parameters]
    if unknown:
        return Fault("missing", f"there are Jacobians of no trainable parameter: {', '.join(unknown)}")
    return None


def _described(value: Any) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"
