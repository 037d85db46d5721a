"""What a path gives if it does what a defect says, worked out by autograd for one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from jaccheck.defects.scene import Scene, gradients, hooked
from jaccheck.properties._case import Masks


class Emulation(Protocol):
    """A defect as a change of the computation."""

    def applies(self, scene: Scene) -> bool:
        """Whether the problem has what it is about."""

    def changing(self, scene: Scene) -> AbstractContextManager[None]:
        """Inside, the model's backward pass has the defect."""

    @property
    def shared(self) -> str:
        """What results are lost of, see `Overwritten`; "" for other emulations."""


def explained_by(emulations: Sequence[Emulation], scene: Scene) -> Masks:
    """Where the path gives what follows from all of `emulations` together.

    To within twice the radius, as the true value and the path's may lie at opposite ends of a ball; bit for bit where
    exactness is judged, since at a kink the radius has room for a fault beside the defect.
    """
    explained = scene.nowhere()
    if not all(emulation.applies(scene) for emulation in emulations):
        return explained
    shared = {emulation.shared for emulation in emulations if emulation.shared}
    row = _Overwriting(scene, shared).row if shared else scene.by_autograd
    with ExitStack() as stack:
        for emulation in emulations:
            stack.enter_context(emulation.changing(scene))
        for n, c in scene.rows_outside():
            for name, expected in row(n, c).items():
                got, radius = scene.got[name][n, c].double(), scene.balls[name].radius[n, c]
                close = (got - expected.double()).abs() <= 2 * radius
                if scene.case.wrong is not None:
                    close = torch.zeros_like(close)
                explained[name][n, c] = close | (got == expected) | (got.isnan() & expected.isnan())
    return explained


@dataclass(frozen=True)
class Derivative:
    """`layer`, for the arguments that `input` says, has the derivative `taken_as`; with `dtype` only in that one."""

    layer: str  # the name of a class of layers
    input: str  # a key of `INPUTS`
    taken_as: float | str  # a number, or a key of `SLOPES`
    dtype: str = ""  # "float64", …
    shared = ""

    def _layers(self, scene: Scene) -> list[nn.Module]:
        return [module for module in scene.problem.model.modules() if type(module).__name__ == self.layer]

    def applies(self, scene: Scene) -> bool:
        return bool(self._layers(scene)) and (not self.dtype or scene.problem.dtype == getattr(torch, self.dtype))

    def changing(self, scene: Scene) -> AbstractContextManager[None]:
        return hooked(self._layers(scene), self._taken)

    def _taken(self, module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        z, taken_as = args[0], self.taken_as
        here = INPUTS[self.input](z.detach())
        slope = SLOPES[taken_as](module, z.detach()) if isinstance(taken_as, str) else torch.full_like(z, taken_as)
        slope = torch.where(here, slope, torch.zeros_like(z))
        replaced: Tensor = _Slope.apply(z, output.detach(), slope)  # type: ignore[no-untyped-call]
        return torch.where(here, replaced, output)


class _Slope(torch.autograd.Function):
    """`value`, with a given derivative by z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        ctx.slope = slope
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.slope, None, None


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
    r = 1 / float(torch.tensor(alpha, dtype=torch.float32, device="cpu"))
    slope: Tensor = alpha * r * (z * r).exp()
    return slope


SLOPES: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "nan": lambda module, z: torch.full_like(z, nan),
    "CELU's with alpha in float32": _celu,
}


LAYER, PARAMETER = "layer", "parameter"


@dataclass(frozen=True)
class Overwritten:
    """BackPACK keeps one result for each parameter, and one input for each layer, each the last one.

    So of a `Linear` used several times (`shared` "layer") the parameters get the result of the use that the backward
    pass reaches last, the first one, with the input of the last use. Of several layers with one parameter (`shared`
    "parameter") it gets that of the layer that the backward pass reaches last.
    """

    shared: str

    def applies(self, scene: Scene) -> bool:
        if self.shared == PARAMETER:
            held = [id(p) for module in _linears(scene) for p in module.parameters()]
            return len(set(held)) < len(held)
        uses: list[nn.Module] = []
        with hooked(_linears(scene), lambda module, args, output: uses.append(module)), torch.no_grad():
            scene.problem.model(scene.problem.x)
        return len(set(uses)) < len(uses)

    @contextmanager
    def changing(self, scene: Scene) -> Iterator[None]:
        yield


def _linears(scene: Scene) -> list[nn.Linear]:
    return [module for module in scene.problem.model.modules() if isinstance(module, nn.Linear)]


class _Overwriting:
    """The Jacobian that `Overwritten` describes, column by column, as a backward pass of ``f(x)[:, c].sum()`` has it.

    Of the whole batch, so that it rounds as BackPACK does: what the true Jacobian's radius is made of are other inputs.
    Rows are independent all the same, since no product sums over the samples.
    """

    def __init__(self, scene: Scene, shared: set[str]) -> None:
        self.scene, self.shared = scene, shared
        self._columns: dict[int, dict[str, Tensor]] = {}

    def row(self, n: int, c: int) -> dict[str, Tensor]:
        if c not in self._columns:
            self._columns[c] = self._column(c)
        return {name: column[n] for name, column in self._columns[c].items()}

    def _column(self, c: int) -> dict[str, Tensor]:
        uses: list[tuple[nn.Linear, Tensor, Tensor]] = []
        with hooked(_linears(self.scene), lambda module, args, output: uses.append((module, args[0].detach(), output))):
            f = self.scene.outputs()[:, c].sum()
        uses = [use for use in uses if use[2].requires_grad]
        D = gradients(f, [output for _, _, output in uses])
        last = {module: a for module, a, _ in uses}
        results: dict[nn.Linear, list[Tensor]] = {}  # of weight and bias, in the order of the backward pass
        for (module, a, _), d in reversed(list(zip(uses, D, strict=True))):
            result, before = [d[:, :, None] * a[:, None], d], results.pop(module, None)
            if LAYER in self.shared:
                result[0] = d[:, :, None] * last[module][:, None]
            elif before is not None:
                result = [one + other for one, other in zip(before, result, strict=True)]
            results[module] = result
        column: dict[str, Tensor] = {}
        names = {id(p): name for name, p in self.scene.problem.parameters.items()}
        for module, result in results.items():
            for p, value in zip((module.weight, module.bias), result, strict=True):
                name = names.get(id(p))
                if name is not None:
                    lost = PARAMETER in self.shared or name not in column
                    column[name] = value if lost else column[name] + value
        N = self.scene.problem.N
        return {name: column.get(name, p.new_zeros(N, *p.shape)) for name, p in self.scene.problem.parameters.items()}
