"""The last lines of a script: what came out, what should, how far off it may be, and the exit status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

import torch
from torch import nn

from jaccheck._report import ForwardFinding, Verdict
from jaccheck.reproducer._errors import NoReproducer
from jaccheck.reproducer._models import place
from jaccheck.reproducer._tensors import number

Lines = list[str]


def value(got: str, value: float, centre: float, radius: float) -> Lines:
    """`got` is an expression for a float; the lines ask whether it lies in centre ± radius."""
    expected, allowed = _rounded(value, centre, radius)
    # where the centre isn't finite, the enclosure says that a correct value isn't, either
    wrong = "not abs(got - expected) <= allowed" if isfinite(centre) else "isfinite(got)"
    return [
        f"got = {got}.item()",
        f"expected, allowed = {expected}, {allowed}",
        *_printed("{got}", "{expected}", "± {allowed}" if isfinite(centre) else "whatever is not finite"),
        f"sys.exit(1 if {wrong} else 0)",
    ]


def entry(verdict: Verdict) -> Lines:
    """The worst element of a Jacobian."""
    assert verdict.index is not None
    assert verdict.got is not None
    assert verdict.centre is not None
    assert verdict.radius is not None
    where = ", ".join(map(str, verdict.index))
    got = f'jacobian(model, x)["{verdict.parameter}"][{where}]'
    return value(got, verdict.got, verdict.centre, verdict.radius)


def forward(found: ForwardFinding) -> Lines:
    """What a layer gives for what the layers before it gave."""
    where = ", ".join(map(str, found.index))
    return [
        "outputs = []",
        f"{place(found.layer)}.register_forward_hook(lambda *call: outputs.append(call[-1]))",
        "model(x)",
        *value(f"outputs[0][{where}]", found.got, found.centre, found.radius),
    ]


def raised() -> Lines:
    return [
        "try:",
        "    jacobian(model, x)",
        "    got = None",
        "except Exception as error:",
        "    got = error",
        *_printed("{got!r}", "a Jacobian", "no exception"),
        "sys.exit(0 if got is None else 1)",
    ]


def shape(parameter: str, expected: tuple[int, ...], dtype: torch.dtype) -> Lines:
    return [
        f'J = jacobian(model, x)["{parameter}"]',
        "got, expected = (tuple(J.shape), J.dtype), " + f"({expected}, {dtype})",
        *_printed("{got}", "{expected}", "nothing else"),
        "sys.exit(1 if got != expected else 0)",
    ]


def missing() -> Lines:
    return [
        "J = jacobian(model, x)",
        "got = sorted(name for name in J if isinstance(J[name], torch.Tensor)) if isinstance(J, dict) else type(J)",
        "expected = sorted(name for name, p in model.named_parameters() if p.requires_grad)",
        *_printed("{got}", "{expected}", "nothing else"),
        "sys.exit(1 if got != expected else 0)",
    ]


def nondeterministic() -> Lines:
    return [
        "expected, got = jacobian(model, x), None",
        "for _ in range(1000):",
        "    again = jacobian(model, x)",
        "    if not all(torch.allclose(again[name], J, 0, 0, equal_nan=True) for name, J in expected.items()):",
        "        got = again",
        "        break",
        *_printed("{got}", "{expected}, as in the first call", "no difference"),
        "sys.exit(0 if got is None else 1)",
    ]


def state(changes: str, model: nn.Module) -> Lines:
    """The first of the changes that can be looked at without jaccheck.

    Raises:
        NoReproducer: there is none.
    """
    for change in changes.splitlines():
        looked = observed(change, model)
        if looked is not None:
            return [
                f"def observed():  # {change}",
                f"    return {looked}",
                "",
                "",
                "expected = observed()",
                "jacobian(model, x)",
                "got = observed()",
                *_printed("{got}", "{expected}, as before the call", "no change"),
                "sys.exit(1 if got != expected else 0)",
            ]
    raise NoReproducer(f"there is no short way to look at what has changed: {changes.splitlines()[0]}")


GLOBAL: Mapping[str, str] = {
    "torch's random state": "torch.get_rng_state().tolist()",
    "Python's random state": "random.getstate()",
    "numpy's random state": "numpy.random.get_state()[1].tolist()",
    "torch's default device": "torch.get_default_device()",
    "torch.set_printoptions()": "dict(vars(torch._tensor_str.PRINT_OPTS))",
    "torch's flushing of subnormals": "2.0**-1074 * 1",
    "torch's autocast on cpu": 'torch.is_autocast_enabled("cpu")',
    "torch's autocast on cuda": 'torch.is_autocast_enabled("cuda")',
    "torch.are_deterministic_algorithms_enabled(), and whether they only warn": "("
    "torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())",
    "torch.is_anomaly_enabled(), and whether for NaN": "torch.is_anomaly_enabled()",
    "warnings.filters": "list(warnings.filters)",
    "warnings.showwarning": "warnings.showwarning",
}
"""How to look at a setting whose name isn't an expression that does."""


def observed(change: str, model: nn.Module) -> str | None:
    """An expression for what `change`, of `jaccheck._state`, says has changed; None if there is no short one."""
    hook = re.match(r"([\w ]* hook) (?:added to|removed from) '(.*?)' \(", change)
    if hook:
        owner = _place(hook[2], model)
        return None if owner is None else f"len({owner}._{hook[1].replace(' ', '_')}s)"
    values = re.match(r"(.+?): (?:(\d+ of \d+ values changed)|moved to other memory)", change)
    if values:
        owner = _place(values[1], model)
        return None if owner is None else f"{owner}.{'tolist' if values[2] else 'data_ptr'}()"
    name = re.split(": | has changed", change)[0]
    if name in GLOBAL:
        return GLOBAL[name]
    if name.startswith("torch."):
        return name
    owner, attribute = _place(name.rpartition(".")[0], model), name.rpartition(".")[2]
    if owner is None or not attribute.isidentifier():
        return None
    if attribute in ("grad", "requires_grad", "training"):
        return f"{owner}.{attribute}"
    return f'repr(vars({owner}).get("{attribute}"))'


def _place(name: str, model: nn.Module) -> str | None:
    """An expression for the input, or a module, parameter or buffer of the model, by the name it has in a change."""
    if name in ("x", "model"):
        return name
    known = {**dict(model.named_modules()), **dict(model.named_parameters()), **dict(model.named_buffers())}
    return place(name) if name in known else None


def _printed(got: str, expected: str, allowed: str) -> Lines:
    labelled = (f"got       {got}", f"expected  {expected}", f"allowed   {allowed}")
    return [f'print({"f" if "{" in text else ""}"{text}")' for text in labelled]


def _rounded(value: float, centre: float, radius: float) -> tuple[str, str]:
    """Centre and radius in few digits: a little more is allowed, but not `value`."""
    if not isfinite(centre) or not isfinite(radius):
        return number(centre), number(radius)
    for digits in range(2, 17):
        expected, allowed = float(f"{centre:.{digits}g}"), float(f"{radius:.2g}")
        needed = (radius + abs(expected - centre)) * (1 + 2.0**-50)
        if allowed < needed:
            allowed = float(f"{needed * 1.06:.2g}")
        # not much more than what is allowed, and far from what came out
        if allowed <= 1.5 * radius and needed <= allowed and not abs(value - expected) <= allowed:
            return repr(expected), repr(allowed)
    return repr(centre), repr(radius)
