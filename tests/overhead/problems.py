"""The problems that are measured, and the calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import torch
from torch import Tensor, nn

import jaccheck
from jaccheck._example import network
from jaccheck.paths import DEFAULT, get

Problem = tuple[nn.Module, Tensor]
Run = Callable[[nn.Module, Tensor], object]


def mlp(batch: int, *widths: int) -> Problem:
    """ReLU between Linears."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1]), torch.randn(batch, widths[0])


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "example": lambda: network().build(),
    "large": lambda: mlp(16, 784, 512, 256, 10),
    "wide": lambda: mlp(64, 256, 256, 10),
}
"""Jacobians of 37 kB, 343 MB and 175 MB."""


def by_jacobian(model: nn.Module, x: Tensor) -> None:
    """The three paths as a user calls them."""
    for name in DEFAULT:
        with suppress(Exception):  # it refuses, or crashes; the check calls it, too
            jaccheck.jacobian(model, x, name)


def by_path(model: nn.Module, x: Tensor) -> None:
    """The three paths without admission or restoring."""
    for name in DEFAULT:
        with suppress(Exception):
            get(name).jacobian(model, x)


def by_check(model: nn.Module, x: Tensor) -> None:
    """All that is measured against the two."""
    jaccheck.check(model, x)


def seconds(run: Run, problem: Problem) -> float:
    """The time for which this thread has the processor: others use the machine, too."""
    start = time.thread_time()
    run(*problem)
    return time.thread_time() - start


def fastest(runs: list[Run], problem: Problem, rounds: int) -> list[float]:
    """The least seconds of each run, all in turn in each round."""
    for run in runs:
        run(*problem)  # a first call is cold
    return [min(times) for times in zip(*([seconds(run, problem) for run in runs] for _ in range(rounds)), strict=True)]
