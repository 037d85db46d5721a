"""Two calls give the same, in memory of its own."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck._same import same
from jaccheck.judging.trial import Run, Trial


class Determinism:
    """A path gives the same value twice, NaN for NaN; the sign of a zero is not a value.

    What it gives changes with nothing else: it lies neither in the user's memory nor, twice, in one place, be it in one
    call or in two; nor is it the mapping that it gave before.
    """

    name = "determinism"
    cheap = True

    def judge(self, trial: Trial) -> Verdict:
        first, path = trial.run, trial.path.name
        if first.unsupported is not None:
            return Verdict(path, "unsupported", property=self.name, reason=first.unsupported, seconds=first.seconds)
        second = trial.again()
        reason = difference(first, second, "in the first call", "in the second")
        if reason is not None:
            return Verdict(path, "disagrees", "nondeterministic", self.name, reason=reason, seconds=first.seconds)
        shared = sharing(first.jacobian, trial.problem) or returning(first.jacobian, second.jacobian)
        if shared is None and isinstance(first.returned, MutableMapping) and first.returned is second.returned:
            shared = "the second call gave the mapping of the first, whose Jacobians are others now"
        if shared is not None:
            return Verdict(path, "disagrees", "state", self.name, reason=shared, seconds=first.seconds)
        return Verdict(path, "agrees", property=self.name, seconds=first.seconds)


class Raising(str):
    """A difference, in words, in what is raised, not in what comes out."""


def difference(one: Run, other: Run, here: str, there: str) -> str | None:
    """In words, how two results differ, of which one came up `here` and the other `there`; None if they don't."""
    if type(one.raised) is not type(other.raised):
        return Raising(f"{_outcome(one)} {here}, {_outcome(other)} {there}")
    a, b = one.jacobian, other.jacobian
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return None if type(a) is type(b) else f"it gave a {type(a).__name__} {here}, a {type(b).__name__} {there}"
    if a.keys() != b.keys():
        return f"it gave {', '.join(map(str, a))} {here}, {', '.join(map(str, b))} {there}"
    return next(filter(None, (_apart(name, a[name], b[name], here, there) for name in a)), None)


def sharing(jacobian: Any, problem: Problem) -> str | None:
    """In words, whose memory a Jacobian lies in, if it isn't its own: the user's, or that of another one."""
    if not isinstance(jacobian, Mapping):
        return None
    model = problem.model
    theirs = {"x": problem.x, **dict(model.named_parameters()), **dict(model.named_buffers())}
    theirs |= {f"{name}.grad": t.grad for name, t in theirs.items() if t.is_leaf and t.grad is not None}
    owners = {t.untyped_storage().data_ptr(): name for name, t in theirs.items() if _in_memory(t)}
    places: dict[int, str] = {}  # of first elements: different parts of one buffer may be given
    for name, j in jacobian.items():
        if not isinstance(j, Tensor) or not _in_memory(j):
            continue
        owner = owners.get(j.untyped_storage().data_ptr())
        if owner is not None:
            return f"the Jacobian of {name!r} lies in the memory of {owner!r}, and changes with it"
        other = places.setdefault(j.data_ptr(), name)
        if other != name and _writable(j):
            return f"the Jacobian of {name!r} lies in the memory of that of {other!r}, and changes with it"
    return None


def returning(first: Any, second: Any) -> str | None:
    """In words, which Jacobian of a second call lies where the `first` had put it, who still holds that one."""
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return None
    for name, j in first.items():
        again = second.get(name)
        if not isinstance(j, Tensor) or not isinstance(again, Tensor) or not _in_memory(j) or not _in_memory(again):
            continue
        if j.data_ptr() == again.data_ptr() and _writable(j):
            return f"the Jacobian of {name!r} lies, in the second call, in the memory of the first, and changes with it"
    return None


def _in_memory(t: Tensor) -> bool:
    return t.layout == torch.strided and not t.is_meta and t.numel() > 0


def _writable(t: Tensor) -> bool:
    """Whether each element has a place of its own; torch refuses to write to what is expanded."""
    return all(stride or size < 2 for size, stride in zip(t.shape, t.stride(), strict=True))


def _apart(name: str, a: Any, b: Any, here: str, there: str) -> str | None:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return None
    if a.device != b.device:
        return f"{name!r} was on {a.device} {here}, on {b.device} {there}"
    if any(t.is_meta or t.is_nested or t.is_quantized for t in (a, b)):
        return None  # malformed, as the enclosure says
    if a.layout != b.layout:
        return f"{name!r} was {a.layout} {here}, {b.layout} {there}"
    if a.layout != torch.strided:
        a, b = a.to_dense(), b.to_dense()
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{name!r} was {a.dtype} {list(a.shape)} {here}, {b.dtype} {list(b.shape)} {there}"
    differs = ~same(a, b)
    if not differs.any():
        return None
    index = tuple(int(i) for i in torch.nonzero(differs)[0])
    where = f"{name!r}[{', '.join(map(str, index))}]"
    return f"{where} was {a[index].item()} {here}, {b[index].item()} {there}"


def _outcome(run: Run) -> str:
    return "there was no exception" if run.raised is None else f"it raised {run.exception}"
