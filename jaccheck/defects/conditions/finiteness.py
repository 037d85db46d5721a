"""Defects that show in what is finite and what isn't."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from jaccheck.defects.scene import Scene, hooked
from jaccheck.judging.case import Masks


def overflow(scene: Scene, *, scaled_by: float) -> Masks:
    """Where the path isn't finite, and the row's backward pass times `scaled_by` isn't either, there or on the way.

    On the way: autograd masks an infinite gradient where ReLU's derivative is 0; a path that multiplies gets NaN.
    """
    explained = scene.nowhere()
    if all(got[scene.outside[name]].isfinite().all() for name, got in scene.got.items()):
        return explained
    overflows: list[bool] = []

    def look(module: nn.Module, args: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda g: overflows.append(not g.isfinite().all()))  # type: ignore[no-untyped-call]

    with hooked(scene.problem.model.modules(), look):
        for n, classes in scene.rows_outside.items():
            for c in classes:
                overflows.clear()
                for name, scaled in scene.by_autograd(n, [c], scaled_by).items():
                    explained[name][n, c] = ~scene.got[name][n, c].isfinite() & (any(overflows) | ~scaled[0].isfinite())
    return explained


def beside_another(scene: Scene) -> list[int]:
    """The samples with something outside, beside another one that isn't finite."""
    samples = list(scene.rows_outside)
    beside = _others(scene.finite_forward, samples)
    return beside if beside == samples else _others(scene.finite, samples)  # the Jacobians take their time


def _others(finite: Tensor, samples: list[int]) -> list[int]:
    """Those of the samples beside which another one isn't finite."""
    return [n for n in samples if not (finite[:n].all() and finite[n + 1 :].all())]


def other_sample_not_finite(scene: Scene) -> Masks:
    """Where the path gives NaN beside another sample that isn't finite, and the right value for the sample alone."""
    explained = scene.nowhere()
    for n in beside_another(scene):
        for name, j in scene.alone(n).items():
            right = ~scene.balls[name][n].excludes(j)
            explained[name][n] = scene.nan[name][n] & right
    return explained


def own_sample_not_finite(scene: Scene) -> Masks:
    """Where the path, in forward mode, gives NaN and something in the sample's forward pass isn't finite."""
    explained = scene.nowhere()
    for name, nan in scene.nan_forward.items():
        explained[name][~scene.finite] = nan[~scene.finite]
    return explained
