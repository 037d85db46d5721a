"""Defects of oneDNN, torch's library for matrix products on the CPU: what is right without it isn't torch's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from jaccheck._problem import Problem
from jaccheck.defects.scene import Scene
from jaccheck.enclosure import Oracle
from jaccheck.judging.case import Masks


def nan_by_onednn(scene: Scene, *, dtype: str) -> Masks:
    """Where the path gives NaN in `dtype`, and the right value without oneDNN."""
    explained = scene.nowhere()
    if _used(scene.problem, dtype):
        with _without_onednn():
            without = scene.again()
        for name, j in without.items():
            explained[name] = scene.got[name].isnan() & ~scene.balls[name].excludes(j)
    return explained


def nan_forward_by_onednn(problem: Problem, *, dtype: str) -> bool:
    """Whether the model's output has NaN in `dtype` that it hasn't without oneDNN, and is right without."""
    if not _used(problem, dtype):
        return False
    with _without_onednn(), torch.no_grad(), problem.chance():
        without = problem.model(problem.x.detach())
    alike, nan = problem.output == without, problem.output.isnan()
    if not (nan & ~without.isnan()).any() or not (alike | nan).all():
        return False
    return Oracle(problem.model, problem.x, seed=problem.seed).output.holds(without)


def _used(problem: Problem, dtype: str) -> bool:
    return problem.dtype == getattr(torch, dtype) and problem.device.type == "cpu" and _enabled()


def _enabled() -> bool:
    return bool(torch._C._get_mkldnn_enabled())


@contextmanager
def _without_onednn() -> Iterator[None]:
    torch._C._set_mkldnn_enabled(False)  # torch.backends.mkldnn.flags sets TF32 as well, and warns of it
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(True)
