"""The register of known defects of the libraries, and whether a failure is one of them and nothing else.

An entry of ``known_defects.json`` says in which library and versions, in which paths, of which property and kind, and
`when`: a condition, with arguments, that says of each element of the Jacobian whether the defect explains it. A failure
is known if every element outside the enclosure is explained: a fault beside a known one is none. Where the path raises,
the condition is `raises`.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from math import inf, nan
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._check import versions
from jaccheck._errors import InvalidProblem, Unsupported
from jaccheck._problem import Problem, admit
from jaccheck._state import untouched
from jaccheck.enclosure import Ball, Oracle
from jaccheck.fuzz.finding import Failure
from jaccheck.paths import Path, extra_roundings, get, mode
from jaccheck.properties import PROPERTIES, WithCases
from jaccheck.properties._case import Case


@dataclass(frozen=True, eq=False)
class Defect:
    """An entry of the register."""

    id: str
    library: str
    """As in a report's versions: "torch", "backpack"."""
    versions: str
    """Where it has been seen: comparisons, all of which hold, such as ">=1.6,<1.8"."""
    paths: tuple[str, ...]
    property: str
    kind: str
    when: Mapping[str, Any]
    """The name of a condition of `CONDITIONS`, under "condition", and its arguments."""
    shows: str
    """What one sees, in words."""
    upstream: str | None
    """The thread where its library knows of it."""
    network: Mapping[str, Any]
    """A network that shows it, as `Network.from_json` reads it."""

    def arguments(self) -> dict[str, Any]:
        """Those of the condition."""
        return {name: value for name, value in self.when.items() if name != "condition"}

    def concerns(self, failure: Failure) -> bool:
        """Whether path, property, kind and the version that is installed are the entry's.

        What lies outside the enclosure is so in all properties that judge values by it, or by exact ones.
        """
        alike = failure.property == self.property or (
            self.property == "enclosure" and isinstance(PROPERTIES.get(failure.property), WithCases)
        )
        return (
            failure.path in self.paths
            and alike
            and failure.kind == self.kind
            and in_range(versions().get(self.library), self.versions)
        )


@lru_cache(maxsize=1)
def register() -> tuple[Defect, ...]:
    """All entries."""
    data = json.loads(files("jaccheck.defects").joinpath("known_defects.json").read_text(encoding="utf-8"))
    return tuple(Defect(**{**entry, "paths": tuple(entry["paths"])}) for entry in data["defects"])


def in_range(version: str | None, comparisons: str) -> bool:
    """Whether a version such as "2.13.0+cpu" keeps all of the comparisons, by its leading numbers."""
    if version is None:
        return False
    compared = {">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt, "==": operator.eq}
    for comparison in comparisons.split(","):
        parts = re.fullmatch(r"\s*(>=|<=|<|>|==)\s*([\d.]+)\s*", comparison)
        if parts is None:
            raise InvalidProblem(f"{comparison!r} is no comparison of versions, such as >=1.6")
        if not compared[parts[1]](_numbers(version), _numbers(parts[2])):
            return False
    return True


def _numbers(version: str) -> tuple[int, int, int]:
    found = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    if found is None:
        raise InvalidProblem(f"{version!r} is no version, such as 1.7.1")
    return int(found[1]), int(found[2] or 0), int(found[3] or 0)


def known(failure: Failure, model: nn.Module, x: Tensor, defects: Sequence[Defect] | None = None) -> tuple[Defect, ...]:
    """The defects of the register that together are the whole of `failure` on this problem; none if it is more."""
    concerned = [defect for defect in (register() if defects is None else defects) if defect.concerns(failure)]
    if not concerned:
        return ()
    with untouched(model, x):
        problem, path = admit(model, x), get(failure.path)
        law = PROPERTIES.get(failure.property)
        cases = list(law.cases(problem, path)) if isinstance(law, WithCases) else [Case(problem)]
        if failure.kind == "raised":
            raising = (d for d in concerned for case in cases if raises(case.problem, path, **d.arguments()))
            return tuple(raising)[:1]
        needed: dict[Defect, None] = {}
        for case in cases:
            found = _needed(case, path, concerned)
            if found is None:
                return ()
            needed.update(dict.fromkeys(found))
        return tuple(needed)


def raises(problem: Problem, path: Path, *, message: str, batch: int, layer: str) -> bool:
    """Whether the path raises an exception that says `message`, on that many samples and a model with such a layer."""
    if batch != problem.N or not any(type(module).__name__ == layer for module in problem.model.modules()):
        return False
    try:
        path.jacobian(problem.model, problem.x)
    except Exception as error:  # of whatever class: its message tells
        return message in str(error)
    return False


def _needed(case: Case, path: Path, defects: Sequence[Defect]) -> list[Defect] | None:
    """The defects that explain all that is wrong in `case`, if anything is; None if they don't."""
    try:
        scene = Scene(case.problem, path, case)
        left = scene.outside
    except Unsupported:
        return []
    except Exception:  # whatever it is, no condition explains it
        return None
    needed: list[Defect] = []
    for defect in defects:
        explained = CONDITIONS[defect.when["condition"]](scene, **defect.arguments())
        if any((left[name] & explained[name]).any() for name in left):
            needed.append(defect)
        left = {name: left[name] & ~explained[name] for name in left}
    return None if any(mask.any() for mask in left.values()) else needed


class Scene:
    """A path's Jacobian of a problem, and all that a condition may ask of it. Masks are ``[N, C, *p.shape]``."""

    def __init__(self, problem: Problem, path: Path, case: Case | None = None) -> None:
        self.problem, self.path, self.case = problem, path, case or Case(problem)
        self.got = {name: j.detach() for name, j in path.jacobian(problem.model, problem.x).items()}

    @cached_property
    def balls(self) -> dict[str, Ball]:
        """The enclosure, for paths of this kind."""
        oracle = Oracle(self.problem.model, self.problem.x)
        every, more = slice(None), extra_roundings(self.path)
        return {name: oracle.rows(name, every, every, mode=mode(self.path), extra_roundings=more) for name in self.got}

    @cached_property
    def outside(self) -> dict[str, Tensor]:
        """Where the path's Jacobian leaves the enclosure, or is wrong in another way that the case is about."""
        if self.case.wrong is not None:
            return self.case.wrong(self.got)
        outside = {name: ball.excludes(self.got[name]) for name, ball in self.balls.items()}
        if self.case.samples is not None:
            others = torch.ones(self.problem.N, dtype=torch.bool, device=self.problem.device)
            others[list(self.case.samples)] = False
            for mask in outside.values():
                mask[others] = False
        return outside

    def rows_outside(self) -> set[tuple[int, int]]:
        """The rows (n, c) of which some entry is outside."""
        return {(int(n), int(c)) for mask in self.outside.values() for n, c in mask.flatten(2).any(2).nonzero()}

    @cached_property
    def finite(self) -> Tensor:
        """``[N]``: the samples in which nothing of the forward pass is infinite or NaN, nor of their Jacobian."""
        finite = self.problem.x.flatten(1).isfinite().all(1)

        def look(module: nn.Module, args: Any, output: Any) -> None:
            finite.logical_and_(output.flatten(1).isfinite().all(1))

        with hooked(self.problem.model.modules(), look), torch.no_grad():
            self.problem.model(self.problem.x)
        for n in range(self.problem.N):
            for c in range(self.problem.C) if finite[n] else ():
                finite[n] &= all(j.isfinite().all() for j in self.by_autograd(n, c).values())
        return finite

    def nowhere(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(j, dtype=torch.bool) for name, j in self.got.items()}

    def by_autograd(self, n: int, c: int, seed: float = 1.0) -> dict[str, Tensor]:
        """Row (n, c) of ``seed`` times the Jacobian, of sample n alone, so that no other sample has a part in it."""
        with torch.inference_mode(False), torch.enable_grad():
            f = self.problem.model(self.problem.x[n : n + 1].detach())[0, c]
            parameters = self.problem.parameters
            if not f.requires_grad:
                return {name: torch.zeros_like(p) for name, p in parameters.items()}
            # seed f overflows where f is large, and the seed of the backward pass doesn't
            found = torch.autograd.grad(f, list(parameters.values()), torch.full_like(f, seed), allow_unused=True)
        return {
            name: torch.zeros_like(p) if g is None else g
            for (name, p), g in zip(parameters.items(), found, strict=True)
        }


@contextmanager
def hooked(modules: Iterator[nn.Module] | Sequence[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """A forward hook on each of `modules`."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Slope(torch.autograd.Function):
    """`value`, with a given derivative by z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.slope = slope
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.slope, None, None


def derivative(scene: Scene, *, layer: str, input: str, taken_as: float | str, dtype: str = "") -> dict[str, Tensor]:
    """Where the path gives what follows if `layer`, for the arguments that `input` says, has the derivative `taken_as`.

    To within twice the radius: the true value and the path's may lie at opposite ends of a ball. With `dtype` only in
    that one.

    Args:
        layer: the name of a class of layers.
        input: a key of `INPUTS`.
        taken_as: a number, or a key of `SLOPES`.
        dtype: "float64", ….
    """

    def taken(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        z = args[0]
        here = INPUTS[input](z.detach())
        slope = SLOPES[taken_as](module, z.detach()) if isinstance(taken_as, str) else torch.full_like(z, taken_as)
        slope = torch.where(here, slope, torch.zeros_like(z))
        replaced: Tensor = _Slope.apply(z, output.detach(), slope)  # type: ignore[no-untyped-call]
        return torch.where(here, replaced, output)

    modules = [m for m in scene.problem.model.modules() if type(m).__name__ == layer]
    explained = scene.nowhere()
    if not modules or (dtype and scene.problem.dtype != getattr(torch, dtype)):
        return explained
    with hooked(modules, taken):
        for n, c in scene.rows_outside():
            for name, expected in scene.by_autograd(n, c).items():
                got, radius = scene.got[name][n, c].double(), scene.balls[name].radius[n, c]
                close = (got - expected.double()).abs() <= 2 * radius
                explained[name][n, c] = close | (got == expected) | (got.isnan() & expected.isnan())
    return explained


def overflow(scene: Scene, *, scaled_by: float) -> dict[str, Tensor]:
    """Where the path isn't finite, and the row's backward pass times `scaled_by` isn't either, there or on the way.

    On the way: autograd masks an infinite gradient where ReLU's derivative is 0; a path that multiplies gets NaN.
    """
    explained = scene.nowhere()
    overflows: list[bool] = []

    def look(module: nn.Module, args: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda g: overflows.append(not g.isfinite().all()))  # type: ignore[no-untyped-call]

    with hooked(scene.problem.model.modules(), look):
        for n, c in scene.rows_outside():
            overflows.clear()
            for name, scaled in scene.by_autograd(n, c, scaled_by).items():
                explained[name][n, c] = ~scene.got[name][n, c].isfinite() & (any(overflows) | ~scaled.isfinite())
    return explained


def other_sample_not_finite(scene: Scene) -> dict[str, Tensor]:
    """Where the path gives NaN beside another sample that isn't finite, and the right value for the sample alone."""
    explained = scene.nowhere()
    x, not_finite = scene.problem.x, ~scene.finite
    for n in range(scene.problem.N):
        if not not_finite[:n].any() and not not_finite[n + 1 :].any():
            continue
        alone = scene.path.jacobian(scene.problem.model, x[n : n + 1])
        for name, j in alone.items():
            right = ~scene.balls[name][n : n + 1].excludes(j.detach())
            explained[name][n] = scene.got[name][n].isnan() & right[0]
    return explained


def own_sample_not_finite(scene: Scene) -> dict[str, Tensor]:
    """Where the path gives NaN and something in the sample's forward pass isn't finite."""
    explained = scene.nowhere()
    for name, got in scene.got.items():
        explained[name][~scene.finite] = got[~scene.finite].isnan()
    return explained


CONDITIONS: dict[str, Callable[..., dict[str, Tensor]]] = {
    condition.__name__: condition
    for condition in (derivative, overflow, other_sample_not_finite, own_sample_not_finite)
}
INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": torch.isnan,
    "not above 0": lambda z: z <= 0,
    "inside (-3, 3)": lambda z: z.abs() < 3,
    "exp overflows": lambda z: z.exp() == inf,
    "square overflows": lambda z: z.isfinite() & (z * z == inf),
}


def _celu(module: nn.Module, z: Tensor) -> Tensor:
    """``α r exp(z r)`` with r, which is 1/α, taken from α in float32."""
    alpha: Any = module.alpha
    r = 1 / float(torch.tensor(alpha, dtype=torch.float32))
    slope: Tensor = alpha * r * (z * r).exp()
    return slope


SLOPES: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "nan": lambda module, z: torch.full_like(z, nan),
    "CELU's with alpha in float32": _celu,
}
