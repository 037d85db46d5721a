"""What torch and BackPACK compute for an activation stays in its rule's balls: hard arguments, and all of 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
import torch
from backpack.core.derivatives.elementwise import ElementwiseDerivatives
from backpack.core.derivatives.elu import ELUDerivatives
from backpack.core.derivatives.leakyrelu import LeakyReLUDerivatives
from backpack.core.derivatives.logsigmoid import LogSigmoidDerivatives
from backpack.core.derivatives.relu import ReLUDerivatives
from backpack.core.derivatives.selu import SELUDerivatives
from backpack.core.derivatives.sigmoid import SigmoidDerivatives
from backpack.core.derivatives.tanh import TanhDerivatives
from torch import Tensor, nn

from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.probe import UNIT_ROUNDOFF, arithmetic
from tests.enclosure.cases import ACTIVATIONS, DTYPES, GROWING, arguments, name
from tests.enclosure.judged import images

BACKPACK: Mapping[type[nn.Module], ElementwiseDerivatives] = {
    nn.ReLU: ReLUDerivatives(),
    nn.LeakyReLU: LeakyReLUDerivatives(),
    nn.ELU: ELUDerivatives(),
    nn.SELU: SELUDerivatives(),
    nn.Sigmoid: SigmoidDerivatives(),
    nn.Tanh: TanhDerivatives(),
    nn.LogSigmoid: LogSigmoidDerivatives(),
}
SINGLE_CONSTANTS = "torch has a float32 constant in this derivative, 1/alpha or 1/6, in float64 too"


def value(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)


def by_autograd(layer: nn.Module, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(layer(x), x, torch.ones_like(x))[0]


def by_autograd_one_by_one(layer: nn.Module, x: Tensor) -> Tensor:
    """Not by the vectorized kernel."""
    return torch.cat([by_autograd(layer, t) for t in x.split(1)])


def by_forward_mode(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.func.jvp(layer, (x,), (torch.ones_like(x),))[1]


def by_vmap(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.func.vmap(torch.func.grad(layer))(x)


def by_backpack(layer: nn.Module, x: Tensor) -> Tensor:
    module = SimpleNamespace(**vars(layer), input0=x, output=layer(x))
    return BACKPACK[type(layer)].df(module, None, None)


def everything(dtype: torch.dtype) -> Tensor:
    """All finite arguments of a 16-bit dtype; of others many."""
    if dtype not in (torch.float16, torch.bfloat16):
        return arguments(dtype, 3000)
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    return every[every.isfinite()]


WAYS = (value, by_autograd, by_autograd_one_by_one, by_forward_mode, by_vmap)
CASES = [
    (layer, way) for layer in (*ACTIVATIONS, *GROWING) for way in (*WAYS, *[by_backpack] * (type(layer) in BACKPACK))
]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch.func.jvp's own


@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize(("layer", "way"), CASES, ids=lambda one: getattr(one, "__name__", None) or name(one))
def test_at_every_argument(layer, dtype, device, way, request):
    expect_known_defect(layer, dtype, way, request)
    x = everything(dtype)[:: 307 if way is by_autograd_one_by_one else 1].to(device)
    x = x[~broken(layer, way, x)]
    found = images(layer, arithmetic(dtype, device), Ball.exact(x))[0 if way is value else 1]
    got = way(layer, x)
    assert not found.excludes(got).any(), report(x, got, found)


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES, ids=name)
@pytest.mark.parametrize(("layer", "way"), CASES, ids=lambda one: getattr(one, "__name__", None) or name(one))
def test_at_the_edge_of_a_ball(layer, dtype, device, way, request):
    """The argument's ball has its centre elsewhere, perhaps beyond a kink."""
    expect_known_defect(layer, dtype, way, request)
    every = arguments(dtype, 10 if way is by_autograd_one_by_one else 150).to(device)
    every = every[~broken(layer, way, every)]
    u = UNIT_ROUNDOFF[dtype]
    scales = ((1.0, 0.0), (1.0, 1e-30), (64.0, 1e-6), (0.1 / u, 0.0), (0.0, 1e-2))
    x, relative, absolute = (torch.cat(t) for t in zip(*[_spread(every, *scale) for scale in scales], strict=True))
    got = way(layer, every).repeat(len(scales))  # whatever the ball, the argument is the same
    for side in (-1, 1):
        radius = x.double().abs() * u * relative + absolute
        centre = x.double() + side * radius * (1 - 1e-9)
        z = Ball(centre, radius)
        held = centre.isfinite() & ~z.excludes(x)
        found = images(layer, arithmetic(dtype, device), z[held])[0 if way is value else 1]
        assert not found.excludes(got[held]).any(), report(x[held], got[held], found)


def _spread(x: Tensor, *scale: float) -> tuple[Tensor, ...]:
    return x, *(torch.full_like(x, factor, dtype=torch.float64) for factor in scale)


def expect_known_defect(layer: nn.Module, dtype: torch.dtype, way: object, request: pytest.FixtureRequest) -> None:
    """One that is everywhere; a release that has mended it passes, too."""
    single = isinstance(layer, nn.Hardsigmoid) or (isinstance(layer, nn.CELU) and abs(layer.alpha) not in (0.5, 1, 2))
    if dtype == torch.float64 and way is not value and single:
        request.applymarker(pytest.mark.xfail(reason=SINGLE_CONSTANTS, strict=False))


def broken(layer: nn.Module, way: object, x: Tensor) -> Tensor:
    """Where the libraries have defects, which the register knows."""
    if isinstance(layer, nn.LogSigmoid) and way is by_backpack:  # 1 / (exp(x) + 1) is 0 where exp(x) overflows
        return x.exp().isinf()
    if isinstance(layer, nn.GELU) and layer.approximate == "tanh" and way is not value:  # NaN where the cube overflows
        wide = x if x.dtype == torch.float64 else x.float()
        return (wide * wide * wide).isinf()
    return torch.zeros_like(x, dtype=torch.bool)


def report(x: Tensor, got: Tensor, ball: Ball) -> str:
    outside = ball.excludes(got)
    ratio = torch.where(outside, ((got.double() - ball.centre).abs() / ball.radius).nan_to_num(torch.inf), -1.0)
    worst = int(ratio.argmax())
    at = ", ".join(f"{t[worst].item():.9g}" for t in (x, got, ball.centre, ball.radius))
    return f"{int(outside.sum())} of {len(x)} outside; worst: argument, got, centre, radius = {at}"
