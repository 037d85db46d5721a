"""A path's Jacobian of a problem, and all that a condition may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from jaccheck._errors import Unsupported
from jaccheck.enclosure import Ball, Oracle
from jaccheck.enclosure.rules.dropout import Dropped
from jaccheck.judging.case import Case, Masks
from jaccheck.judging.trial import Trial
from jaccheck.paths import SHIPPED, Path, get, mode, rounding
from jaccheck.paths._path import leaf

FEW, CHUNK = 32, 256
"""Samples that are worked out one by one, or at most at once."""


Rows = tuple[list[int], Sequence[int], dict[str, Tensor]]
"""Samples, classes, and rows of the Jacobian of all of these, ``[samples, classes, *p.shape]``."""


class Scene:
    """What `path` gives in a case, and where that is wrong. Masks are ``[N, C, *p.shape]``."""

    def __init__(self, case: Case, path: Path, trial: Trial | None = None) -> None:
        problem = case.problem
        self.problem, self.path, self.case = problem, path, case
        if trial is not None and trial.problem is problem and trial.path is path and trial.judge.oracle is not None:
            self.got, self._oracle = trial.run.jacobian, trial.judge.oracle  # what a check has at hand
        else:
            self.got = self.again()

    def again(self, x: Tensor | None = None) -> dict[str, Tensor]:
        """What the path gives, for the problem's input or for another one."""
        return self._by(self.path, self.problem.x if x is None else x)

    def _by(self, path: Path, x: Tensor) -> dict[str, Tensor]:
        with self.problem.chance():
            return {name: j.detach() for name, j in path.jacobian(self.problem.model, x).items()}

    @cached_property
    def nan(self) -> Masks:
        """Where the path gives NaN; one of a user's own, only where autograd's loop does, too."""
        return self._nan_as("autograd")

    @cached_property
    def nan_forward(self) -> Masks:
        """Where the path gives NaN in forward mode; one of a user's own, only where `vmap_jacfwd` does, too."""
        return self._nan_as("vmap_jacfwd") if mode(self.path) == "forward" else self.nowhere()

    def _nan_as(self, like: str) -> Masks:
        nan = {name: j.isnan() for name, j in self.got.items()}
        if self.path.name in SHIPPED:
            return nan
        try:
            theirs = self._by(get(like), self.problem.x)
        except Unsupported:
            return self.nowhere()
        return {name: mask & theirs[name].isnan() for name, mask in nan.items()}

    def alone(self, n: int) -> dict[str, Tensor]:
        """What the path gives for sample n without the others, ``[C, *p.shape]``."""
        one = slice(n, n + 1)
        with self._masked(one):
            return {name: j[0] for name, j in self.again(self.problem.x.detach()[one]).items()}

    def with_sample_alone(self, n: int) -> Scene:
        """This scene as far as sample n goes, with what the path gives for it without the others."""
        scene = copy(self)
        scene.case = replace(self.case, samples=[n])
        scene.got = {name: j.clone() for name, j in self.got.items()}
        for name, row in self.alone(n).items():
            scene.got[name][n] = row
        for derived in ("nan", "outside", "rows_outside"):
            vars(scene).pop(derived, None)
        return scene

    @cached_property
    def _oracle(self) -> Oracle:
        return self.case.oracle or Oracle(self.problem.model, self.problem.x, seed=self.problem.seed)

    @cached_property
    def balls(self) -> dict[str, Ball]:
        """The enclosure, for paths of this kind."""
        every, how = slice(None), rounding(self.path)
        return {name: self._oracle.against(name, j, every, every, how) for name, j in self.got.items()}

    @cached_property
    def outside(self) -> Masks:
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

    @cached_property
    def rows_outside(self) -> dict[int, list[int]]:
        """The rows (n, c) of which some entry is outside: for each such sample its classes."""
        anywhere = torch.stack([mask[..., None].flatten(2).any(2) for mask in self.outside.values()]).any(0)
        return {n: classes for n, row in enumerate(anywhere) if (classes := row.nonzero()[:, 0].tolist())}

    def nowhere(self) -> Masks:
        """Nothing."""
        return {name: torch.zeros_like(j, dtype=torch.bool) for name, j in self.got.items()}

    @cached_property
    def finite_forward(self) -> Tensor:
        """``[N]``: the samples in which nothing of the forward pass is infinite or NaN."""
        finite = self.problem.x.flatten(1).isfinite().all(1)

        def look(module: nn.Module, args: Any, output: Any) -> None:
            finite.logical_and_(output.flatten(1).isfinite().all(1))

        with hooked(self.problem.model.modules(), look), torch.no_grad():
            self.outputs()
        return finite

    @cached_property
    def finite(self) -> Tensor:
        """``[N]``: those of them in whose Jacobian nothing is either."""
        finite = self.finite_forward.clone()
        for n in range(self.problem.N):
            if finite[n]:
                finite[n] = all(j.isfinite().all() for j in self.by_autograd(n, range(self.problem.C)).values())
        return finite

    def outputs(self, samples: slice | list[int] = slice(None)) -> Tensor:
        """``f(x)``, of some samples alone, so that no other one has a part in it, with its graph."""
        with torch.inference_mode(False), torch.enable_grad(), self._masked(samples):
            f: Tensor = self.problem.model(leaf(self.problem.x[samples]))
            return f

    @contextmanager
    def _masked(self, samples: slice | list[int]) -> Iterator[None]:
        """Layers of chance drop what they drop of these samples in the whole batch."""
        masks = cycle(self._masks)

        def masked(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
            return args[0] * next(masks)[samples]

        with hooked(self._dropping, masked, prepend=True):
            yield

    @property
    def _dropping(self) -> list[nn.Module]:
        """The layers that drop elements by chance."""
        layers = self.problem.model.modules() if self.problem.seed is not None else ()
        return [layer for layer in layers if isinstance(layer, _DropoutNd) and layer.training]

    @cached_property
    def _masks(self) -> list[Tensor]:
        """What each of their calls multiplies with, of the whole batch."""
        rules = [rule for call, rule in self._oracle.rules if call.layer is not None] if self._dropping else []
        masks = [rule.mask.centre for rule in rules if isinstance(rule, Dropped) and rule.mask is not None]
        with torch.inference_mode(False):
            return [mask.clone().to(self.problem.dtype) for mask in masks]

    def rows_by_autograd(self) -> Iterator[Rows]:
        """The rows with something outside, as `by_autograd` has them.

        Where they are many, the samples of a chunk together: what is NaN then may be another sample's, and is worked
        out by itself.
        """
        alike: dict[tuple[int, ...], list[int]] = {}
        for n, classes in self.rows_outside.items():
            alike.setdefault(tuple(classes), []).append(n)
        for some, samples in alike.items():
            for start in range(0, len(samples), CHUNK):
                chunk = samples[start : start + CHUNK]
                together = self._together(chunk, some) if len(chunk) > FEW else {}
                nan = [True] * len(chunk)
                if together:
                    nan = torch.stack([rows.flatten(1).isnan().any(1) for rows in together.values()]).any(0).tolist()
                known = [i for i, unknown in enumerate(nan) if not unknown]
                if known:
                    yield [chunk[i] for i in known], some, {name: rows[known] for name, rows in together.items()}
                for n, unknown in zip(chunk, nan, strict=True):
                    if unknown:
                        yield [n], some, {name: rows[None] for name, rows in self.by_autograd(n, some).items()}

    def _together(self, samples: list[int], classes: Sequence[int]) -> dict[str, Tensor]:
        """Rows of several samples, ``[len(samples), len(classes), *p.shape]``."""
        parameters = self.problem.parameters
        f = self.outputs(samples)[:, list(classes)].flatten()
        if not f.requires_grad:
            return {}
        seeds = torch.eye(len(f), dtype=torch.float64, device=f.device).to(f.dtype)
        found = torch.autograd.grad(f, list(parameters.values()), seeds, allow_unused=True, is_grads_batched=True)
        return {
            name: (p.new_zeros(len(f), *p.shape) if g is None else g).view(len(samples), len(classes), *p.shape)
            for (name, p), g in zip(parameters.items(), found, strict=True)
        }

    def by_autograd(self, n: int, classes: Sequence[int], seed: float = 1.0) -> dict[str, Tensor]:
        """Rows (n, c) of ``seed`` times the Jacobian, of sample n alone, ``[len(classes), *p.shape]``."""
        parameters = self.problem.parameters
        # seed f overflows where f is large, and the seed of the backward pass doesn't
        f = self.outputs(slice(n, n + 1))[0]
        rows = [gradients(f[c], list(parameters.values()), seed) for c in classes]
        return {name: torch.stack(row) for name, row in zip(parameters, zip(*rows, strict=True), strict=True)}


def gradients(f: Tensor, inputs: list[Tensor], seed: float = 1.0) -> list[Tensor]:
    """``seed`` times the derivatives of `f`; zeros for inputs that it doesn't depend on."""
    if not f.requires_grad or not inputs:
        return [torch.zeros_like(t) for t in inputs]
    found = torch.autograd.grad(f, inputs, torch.full_like(f, seed), allow_unused=True, retain_graph=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(inputs, found, strict=True)]


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[..., Any], *, prepend: bool = False) -> Iterator[None]:
    """A forward hook on each of `modules`, each once, before others or behind them."""
    handles = [module.register_forward_hook(hook, prepend=prepend) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
