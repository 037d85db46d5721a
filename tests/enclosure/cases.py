"""What the tests of the enclosure draw from: activations with their parameters, and arguments a dtype finds hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

ACTIVATIONS: Sequence[nn.Module] = (
    nn.ReLU(),
    nn.Identity(),
    *(nn.LeakyReLU(slope) for slope in (0.01, 0.0, 0.3, 1.0, 2.0, -0.25)),
    *(nn.ELU(alpha) for alpha in (1.0, 0.0, 0.3, 1.7, -1.0)),
    nn.SELU(),
    *(nn.CELU(alpha) for alpha in (1.0, 0.3, 1.7, 2.0)),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.LogSigmoid(),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.SiLU(),
    *(
        nn.Softplus(beta, threshold)
        for beta, threshold in ((1.0, 20.0), (3.3, 1.0), (0.3, 0.7), (0.5, 0.0), (2.0, 40.0))
    ),
    nn.Softsign(),
    nn.Hardtanh(),
    nn.Hardtanh(-0.3, 0.7),
    nn.ReLU6(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Mish(),
    *(nn.Softshrink(lambd) for lambd in (0.5, 0.0, 0.3)),
    *(nn.Hardshrink(lambd) for lambd in (0.5, 0.0, 0.3)),
    nn.Tanhshrink(),
    nn.Threshold(0.3, -1.7),
)
GROWING: Sequence[nn.Module] = tuple(nn.CELU(alpha) for alpha in (-1.0, -1.7))
"""Exponential on one side, so that networks of them soon leave every range."""
OTHERS: Sequence[nn.Module] = (
    *(nn.LeakyReLU(slope) for slope in (0.5, -1.0)),
    *(nn.ELU(alpha) for alpha in (0.5, 2.0, 3.0)),
    nn.CELU(0.5),
    nn.Hardtanh(-2.0, 6.0),
    nn.Hardtanh(0.0, 0.5),
    nn.Softshrink(1.0),
    nn.Hardshrink(1.0),
)
"""With parameters that strategies draw besides."""
CPU = torch.device("cpu")
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
KINKS = (0.0, 0.3, 0.5, 0.7, 1.0, 2.0, 3.0, 6.0, 20.0)  # near which one of these has one, on either side


def name(layer: nn.Module | torch.dtype) -> str:
    return repr(layer).removeprefix("torch.")


def arguments(dtype: torch.dtype, count: int) -> Tensor:
    """About 6 `count` arguments: ordinary, saturating, near 0, subnormal, up to the largest, at and around kinks."""
    info = torch.finfo(dtype)
    generator = torch.Generator().manual_seed(count)
    largest, smallest = torch.tensor([info.max, info.smallest_normal], dtype=torch.float64).log2().tolist()

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, dtype=torch.float64, generator=generator)

    sign = 1 - 2 * torch.randint(2, (count,), generator=generator).double()
    kinks = torch.tensor([sign * kink for kink in KINKS for sign in (1, -1)], dtype=dtype)
    exact = torch.cat([kinks, *(kinks.nextafter(torch.tensor(end, dtype=dtype)) for end in (info.max, info.min))])
    drawn = (
        uniform(-8, 8),
        uniform(-100, 100),
        sign * 2 ** uniform(-30, 0),
        sign * 2 ** uniform(smallest + torch.tensor(info.eps).log2().item(), -30),
        sign * 2 ** uniform(7, largest - 1e-3),
        torch.tensor([info.max, info.min, info.smallest_normal, info.smallest_normal * info.eps, -88.8, -709.9]),
    )
    return torch.cat([exact, torch.cat([t.double() for t in drawn]).to(dtype)]).clamp(info.min, info.max)


def numbers(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
