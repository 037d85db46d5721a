"""What a GPU is tried with. ``python -m tests.on_cuda`` names the CUDA devices, and fails where there is none.

``jaccheck bench tests/on_cuda.py:example tests/on_cuda.py:large`` measures the paths there.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import torch
from torch import Tensor, nn


def example() -> tuple[nn.Module, Tensor]:
    """15 samples through Linear(10, 7), ReLU, Linear(7, 5)."""
    return _mlp(15, 10, 7, 5)


def large() -> tuple[nn.Module, Tensor]:
    """A Jacobian of 175 MB."""
    return _mlp(64, 256, 256, 10)


def _mlp(batch: int, *widths: int) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to("cuda:0"), torch.rand(batch, widths[0], device="cuda:0")


def main() -> int:
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"torch {torch.__version__}, CUDA {torch.version.cuda}: {', '.join(devices) or 'no CUDA device is found'}")
    return 0 if devices else 1


if __name__ == "__main__":
    sys.exit(main())
