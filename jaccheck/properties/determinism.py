"""Two calls give the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jaccheck._report import Verdict
from jaccheck.properties._trial import Run, Trial


class Determinism:
    """A path gives the same value twice, NaN for NaN; the sign of a zero is not a value."""

    name = "determinism"

    def judge(self, trial: Trial) -> Verdict:
        first, path = trial.run, trial.path.name
        if first.unsupported is not None:
            return Verdict(path, "unsupported", property=self.name, reason=first.unsupported, seconds=first.seconds)
        second = trial.again()
        reason = _difference(first, second)
        if reason is not None:
            return Verdict(path, "disagrees", "nondeterministic", self.name, reason=reason, seconds=first.seconds)
        return Verdict(path, "agrees", property=self.name, seconds=first.seconds)


def _difference(first: Run, second: Run) -> str | None:
    if type(first.raised) is not type(second.raised):
        return f"the first call raised {first.raised!r}, the second {second.raised!r}"
    one, other = first.jacobian, second.jacobian
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return None if type(one) is type(other) else f"the first call gave {type(one)}, the second {type(other)}"
    if one.keys() != other.keys():
        return f"the first call gave {', '.join(one)}, the second {', '.join(other)}"
    for name, a in one.items():
        b = other[name]
        if not isinstance(a, Tensor) or not isinstance(b, Tensor):
            continue
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name!r} was {a.dtype} {list(a.shape)} in the first call, {b.dtype} {list(b.shape)} in the second"
        differs = ~((a == b) | (a.isnan() & b.isnan()))
        if differs.any():
            index = tuple(int(i) for i in torch.nonzero(differs)[0])
            where = f"{name!r}[{', '.join(map(str, index))}]"
            return f"{where} was {a[index].item()} in the first call, {b[index].item()} in the second"
    return None
