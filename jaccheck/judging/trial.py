"""One path on one problem: what it gave, what it left behind, and what may be asked of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck._state import Snapshot, subject
from jaccheck._words import told
from jaccheck.judging.case import Case
from jaccheck.judging.judge import Judge
from jaccheck.paths import Path


@dataclass(frozen=True, eq=False)
class Run:
    """What one call of a path came to."""

    jacobian: Any = None  # whatever it returned; of a mapping a copy, so that what is done to that doesn't show in it
    raised: BaseException | None = None
    changes: tuple[str, ...] = ()  # what was otherwise afterwards, before it was put back
    seconds: float = 0.0
    returned: Any = None  # the very object

    @property
    def unsupported(self) -> str | None:
        """Why the path can't do the model, in its own words."""
        return str(self.raised) if isinstance(self.raised, Unsupported) else None

    @property
    def exception(self) -> str:
        """What it raised: ``ValueError: too small``."""
        return told(self.raised)


@dataclass(eq=False)
class Trial:
    """One path on one problem."""

    problem: Problem
    path: Path
    judge: Judge
    latest: Run | None = None
    """What came of the latest call."""
    cases: dict[str, dict[Case, Verdict]] = field(default_factory=dict)
    """By property, the problems on which its verdict rests, if nobody else can make them, and what each one shows."""

    @cached_property
    def run(self) -> Run:
        """The path's first call."""
        return self.again()

    def again(self) -> Run:
        """Another call; everything it changes is put back."""
        self.latest = called(self.path, self.problem)
        return self.latest


def called(path: Path, problem: Problem, model: nn.Module | None = None, x: Tensor | None = None) -> Run:
    """One call of `path`, on the problem, which is put back afterwards, or on others of the same kind, which aren't.

    That random numbers are drawn from the problem's seed is as it should be.
    """
    returned, jacobian, raised, another = None, None, None, model is not None
    model, x = problem.model if model is None else model, problem.x if x is None else x
    before = Snapshot.take(model, x) if another else problem.before
    start = time.perf_counter()
    try:
        with problem.chance():
            returned = jacobian = path.jacobian(model, x)
            if isinstance(jacobian, Mapping):
                jacobian = {name: j.detach() if hasattr(j, "detach") else j for name, j in jacobian.items()}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it is, SystemExit too, it is the path's: a verdict says so
        jacobian, raised = None, error
    seconds = time.perf_counter() - start
    changes = before.left() if another else before.undone()
    if changes:
        own = _own_changes(problem, model, x)
        changes = [words for words in changes if subject(words) not in own]
    return Run(jacobian, raised, tuple(changes), seconds, returned)


def _own_changes(problem: Problem, model: nn.Module, x: Tensor) -> set[str]:
    """What the model changes by itself once there are gradients: hooks of the user's, or BackPACK's, keep some."""
    before = Snapshot.take(model, x)
    try:
        with warnings.catch_warnings(), problem.chance(), torch.inference_mode(False), torch.enable_grad():
            warnings.simplefilter("ignore")
            f = model(x)
            torch.autograd.grad(f.sum(), [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    except KeyboardInterrupt:
        raise
    except BaseException:  # what stands in its way is judged where it stands in the path's, too
        pass
    return set(map(subject, before.undone()))
