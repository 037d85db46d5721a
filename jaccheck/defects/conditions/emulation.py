"""What a path gives if it does what a defect says, worked out by autograd for one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from jaccheck._activations import ACTIVATIONS
from jaccheck._modules import Functional
from jaccheck._same import same
from jaccheck.defects.conditions.sharing import Overwriting
from jaccheck.defects.scene import FEW, Scene, hooked
from jaccheck.enclosure import Ball
from jaccheck.enclosure.products import UNIT_ROUNDOFF
from jaccheck.judging.case import Masks

ROUNDINGS = 64
"""Of a value that a defect puts in another's place: far below what a fault beside it would show."""


class Emulation(Protocol):
    """A defect as a change of the computation."""

    def applies(self, scene: Scene) -> bool:
        """Whether the problem has what it is about."""

    def marking(self, scene: Scene, slope: float) -> AbstractContextManager[None] | None:
        """Inside, the derivative is `slope`, or NaN, where it changes something: only there it explains anything.

        None: it may change everything.
        """

    def changing(self, scene: Scene) -> AbstractContextManager[None]:
        """Inside, the model's backward pass has the defect."""

    @property
    def shared(self) -> str:
        """What results are lost of, see `Overwritten`; "" for other emulations."""


def explained_by(emulations: Sequence[Emulation], scene: Scene) -> Masks:
    """Where the path gives what follows from all of `emulations` together.

    To within twice the radius, as the true value and the path's may lie at opposite ends of a ball; bit for bit where
    exactness is judged, since at a kink the radius has room for a fault beside the defect. What comes out in place of
    a value of which the radius says little, 0 say, has roundings of its own.
    """
    explained = scene.nowhere()
    if not all(emulation.applies(scene) for emulation in emulations):
        return explained
    marked = _marked(emulations, scene)
    shared = {emulation.shared for emulation in emulations if emulation.shared}
    overwriting = Overwriting(scene, shared) if shared else None
    with ExitStack() as stack:
        for emulation in emulations:
            stack.enter_context(emulation.changing(scene))
        if not any(bool(mark.any()) for mark in marked.values()):
            return explained
        for samples, classes, rows in scene.rows_by_autograd() if overwriting is None else overwriting.each():
            for name, expected in rows.items():
                here = _at(samples, classes)
                got = scene.got[name][here]
                alike = same(got, expected)
                if scene.case.wrong is None:
                    ball, instead = scene.balls[name][here], expected.double()
                    alike |= (got.double() - instead).abs() <= 2 * ball.radius + _rounding(instead, ball, scene)
                explained[name][here] = alike & marked[name][here]
    return explained


def _at(samples: list[int], classes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The index of all rows of some samples and classes."""
    return torch.tensor(samples, device="cpu")[:, None], torch.tensor(classes, device="cpu")


def _marked(emulations: Sequence[Emulation], scene: Scene) -> Masks:
    """The elements that the emulations may change, in rows with something outside.

    They are NaN if a derivative is; of many samples, which NaN would all be in, those that differ for 0 and 1.
    """
    marked: list[dict[str, Tensor]] = []
    for slope in (nan,) if len(scene.rows_outside) <= FEW else (0.0, 1.0):
        with ExitStack() as stack:
            for emulation in emulations:
                marking = emulation.marking(scene, slope)
                if marking is None:
                    return {name: torch.ones_like(j, dtype=torch.bool) for name, j in scene.got.items()}
                stack.enter_context(marking)
            marked.append({name: torch.zeros_like(j, dtype=scene.problem.dtype) for name, j in scene.got.items()})
            for samples, classes, rows in scene.rows_by_autograd():
                for name, row in rows.items():
                    marked[-1][name][_at(samples, classes)] = row
    return {name: j != marked[-1][name] for name, j in marked[0].items()}


def _rounding(instead: Tensor, ball: Ball, scene: Scene) -> Tensor:
    """Of values that stand in place of others: some units of a row's largest, since terms may have cancelled."""
    rows = instead.abs().nan_to_num(0.0, 0.0)[..., None].flatten(2)
    size = rows.amax(2) if rows.numel() else rows.sum(2)
    elsewhere = (instead - ball.centre).abs() > ball.radius
    slack = ROUNDINGS * UNIT_ROUNDOFF[scene.problem.dtype] * size
    return torch.where(elsewhere, slack.reshape(*slack.shape, *[1] * (instead.dim() - 2)), 0.0)


@dataclass(frozen=True)
class Derivative:
    """`layer`, for the arguments that `input` says, has the derivative `taken_as`; with `dtype` only in that one."""

    layer: str  # the name of a class of layers; where it is an activation, the function's is meant, too
    input: str  # a key of `INPUTS`
    taken_as: float | str  # a number, or a key of `SLOPES`
    dtype: str = ""  # "float64", …
    shared = ""

    def applies(self, scene: Scene) -> bool:
        here = not self.dtype or scene.problem.dtype == getattr(torch, self.dtype)
        return here and bool(_layers(scene, self.layer))

    def marking(self, scene: Scene, slope: float) -> AbstractContextManager[None]:
        return hooked(_layers(scene, self.layer), partial(self._taken, instead=slope))

    def changing(self, scene: Scene) -> AbstractContextManager[None]:
        return hooked(_layers(scene, self.layer), self._taken)

    def _taken(self, module: nn.Module, args: tuple[Tensor], output: Tensor, *, instead: float | None = None) -> Tensor:
        z, taken_as = args[0], self.taken_as if instead is None else instead
        here = INPUTS[self.input](z.detach())
        slope = (
            SLOPES[taken_as](module, z.detach(), output.detach())
            if isinstance(taken_as, str)
            else torch.full_like(z, taken_as)
        )
        slope = torch.where(here, slope, torch.zeros_like(z))
        replaced: Tensor = _Slope.apply(z, output.detach(), slope)  # type: ignore[no-untyped-call]
        return torch.where(here, replaced, output)


@dataclass(frozen=True)
class Multiplied:
    """`layer` multiplies the gradient by a number and divides by another: where the product overflows, that shows."""

    layer: str  # a key of `PRODUCTS`; as for `Derivative`
    shared = ""

    def applies(self, scene: Scene) -> bool:
        return bool(_layers(scene, self.layer))

    def marking(self, scene: Scene, slope: float) -> AbstractContextManager[None]:
        return hooked(_layers(scene, self.layer), partial(self._divided, mark=True))

    def changing(self, scene: Scene) -> AbstractContextManager[None]:
        return hooked(_layers(scene, self.layer), self._divided)

    def _divided(self, module: nn.Module, args: tuple[Tensor], output: Tensor, *, mark: bool = False) -> Tensor:
        factor, divisor, slope = PRODUCTS[self.layer](module, args[0].detach())
        divisor = torch.full_like(divisor, nan) if mark else divisor
        replaced: Tensor = _Divided.apply(args[0], output.detach(), factor, divisor, slope)  # type: ignore[no-untyped-call]
        return replaced


class _Divided(torch.autograd.Function):
    """`value`, whose gradient is ``g factor / divisor`` where the product overflows, and ``g slope`` elsewhere."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, factor: Tensor, divisor: Tensor, slope: Tensor) -> Tensor:
        ctx.given = factor, divisor, slope
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        factor, divisor, slope = ctx.given
        product = grads[0].to(factor.dtype) * factor
        overflow = ~product.isfinite() & grads[0].isfinite()
        divided = torch.where(overflow, product / divisor, grads[0] * slope)
        return divided.to(grads[0].dtype), None, None, None, None


def _layers(scene: Scene, kind: str) -> list[nn.Module]:
    """Those of a class, by its name, and functions for them."""
    return [
        module
        for module in scene.problem.model.modules()
        if (module.name if isinstance(module, Functional) else type(module).__name__) == kind
    ]


def _setting(module: nn.Module, name: str) -> Any:
    if isinstance(module, Functional):
        module = ACTIVATIONS[module.name].module(**module.parameters_)
    return getattr(module, name)


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
    "any": lambda z: torch.ones_like(z, dtype=torch.bool),
    "nan": torch.isnan,
    "not above 0": lambda z: z <= 0,
    "inside (-3, 3)": lambda z: z.abs() < 3,
    "exp overflows": lambda z: z.exp() == inf,
    "square overflows": lambda z: z.isfinite() & (z * z == inf),
}


def _softplus(module: nn.Module, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``exp(beta z)``, ``1 + exp(beta z)`` and their quotient, in the kernel's precision; 1 above the threshold."""
    z = z if z.dtype == torch.float64 else z.float()
    scaled = _setting(module, "beta") * z
    linear = scaled > _setting(module, "threshold")
    factor = torch.where(linear, 1.0, scaled.exp())
    return factor, torch.where(linear, 1.0, 1 + factor), torch.where(linear, 1.0, scaled.sigmoid())


PRODUCTS = {"Softplus": _softplus}
"""Of a layer and its arguments: what the gradient is multiplied by, what it is divided by, and the derivative."""


def _celu(module: nn.Module, z: Tensor, output: Tensor) -> Tensor:
    """``α r exp(z r)`` with r, which is 1/α, taken from α in float32."""
    alpha = _setting(module, "alpha")
    r = 1 / float(torch.tensor(alpha, dtype=torch.float32, device="cpu"))
    slope: Tensor = alpha * r * (z * r).exp()
    return slope


def _dropout(module: nn.Module, z: Tensor, output: Tensor) -> Tensor:
    p: Any = module.p
    return (output != 0).to(z.dtype) * (1 / (1 - p) if p < 1 else inf)


SLOPES: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "nan": lambda module, z, output: torch.full_like(z, nan),
    "Dropout's by where its output isn't 0": _dropout,
    "CELU's with alpha in float32": _celu,
}
