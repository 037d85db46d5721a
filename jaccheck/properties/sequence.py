"""What was done to a model before makes no difference."""

from __future__ import annotations

from collections.abc import Sequence as Listed
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem
from jaccheck._report import Verdict
from jaccheck._steps import STEPS, sequence
from jaccheck.judging.form import malformed
from jaccheck.judging.trial import Trial
from jaccheck.paths import rounding, trainable
from jaccheck.properties._chance import chance
from jaccheck.properties._happenings import HAPPENINGS
from jaccheck.properties._stage import Stage
from jaccheck.properties.determinism import Raising
from jaccheck.properties.enclosure import Enclosure, begun, no_jacobian

FEWEST_ASKED, ASKED = 2, 4
"""So many steps may ask the enclosure of what a model is for a while, or one in so many: each time costs as much as the
enclosure of the problem."""
LENGTH = 3  # of a sequence, where none is given: then the problem decides which


class Sequence:
    """After a few things have happened to a model, a path gives for it what it gives for a fresh one, bit for bit.

    Updates of the parameters, moves, copies, failed calls, the user's own backward passes, and others (`STEPS`), with a
    call after each. The result of an earlier call doesn't change; no call leaves anything behind, also where it fails,
    or runs under other settings. In the end the parameters have their first values again, and the Jacobian has to lie
    in the enclosure; so it has where the model computes something else for a while, after some of the steps.
    """

    name = "sequence"
    cheap = False

    def __init__(self, steps: Listed[str] | None = None) -> None:
        self.steps = steps

    def with_argument(self, text: str) -> Sequence:
        """``sequence:deepcopy,update`` names the steps."""
        return Sequence(sequence(text))

    def judge(self, trial: Trial) -> Verdict:
        try:
            return self._judged(trial)
        finally:
            trial.problem.before.restore()  # what the steps leave behind, as BackPACK's handles, is no path's fault

    def _judged(self, trial: Trial) -> Verdict:
        trial.cases.pop(self.name, None)
        own = Enclosure().judge(trial)
        if no_jacobian(trial, own):
            return begun(own, self.name)

        def verdict(status: str, kind: str | None = None, reason: str | None = None, **facts: Any) -> Verdict:
            path, seconds = trial.path.name, own.seconds
            return Verdict(path, status, kind, self.name, reason, elements=own.elements, seconds=seconds, **facts)

        try:
            stage = Stage(trial.problem, trial.path)
        except InvalidProblem as error:
            return verdict("vacuous", reason=str(error))
        steps = drawn(trial.problem) if self.steps is None else self.steps
        stage.asks = max(FEWEST_ASKED, len(steps) // ASKED) if own.status == "agrees" else 0
        end = stage.call()
        happened: list[str] = []
        every = [*steps, "load"]
        for i, name in enumerate(every):
            try:
                apart = HAPPENINGS[name](stage)
            except InvalidProblem:
                continue
            except Exception as error:
                if trial.judge.not_differentiable is not None:
                    return verdict("vacuous", reason=trial.judge.not_differentiable)
                reason = f"{after([*happened, 'a call'])}, {STEPS[name]} failed: {type(error).__name__}: {error}"
                if _fail_without(trial.problem, every[: i + 1]):
                    return verdict("vacuous", reason=f"{reason}, as it does without the path")
                return verdict("disagrees", "raised", reason)
            happened.append(STEPS[name])
            apart = apart or stage.overwritten(after(happened))
            if apart is None:
                earlier = stage.last, stage.kept
                end = stage.call()
                apart = stage.apart(end, after(happened))
                apart = apart or stage.overwritten("in the next call", *earlier)
            if stage.left and not trial.run.changes:  # else the state is wrong without any sequence
                return verdict("disagrees", "state", f"{after(happened)}: {stage.left[0]}")
            if apart is not None:
                return verdict("disagrees", "raised" if isinstance(apart, Raising) else "value", str(apart))
        if apart := stage.any_overwritten(after(happened)):
            return verdict("disagrees", "value", apart)
        if own.status == "agrees" and end.raised is None:
            fault = malformed(trial.problem, end.jacobian)
            if fault is not None:
                return verdict("disagrees", fault.kind, f"{after(happened)}: {fault.reason}", parameter=fault.parameter)
            found = trial.judge.compare(end.jacobian, rounding(trial.path))
            if found.worst is not None:
                ratio, name, index, got, centre, radius = found.worst
                place = {"parameter": name, "shape": tuple(trial.problem.parameters[name].shape), "index": index}
                numbers = {"got": got, "centre": centre, "radius": radius, "ratio": ratio, "outside": found.outside}
                return verdict("disagrees", "value", after(happened), **place, **numbers)
        if stage.wrong:  # behind all else: it may be a known defect, which the problem itself doesn't show
            trial.cases[self.name] = stage.wrong
            return next(iter(stage.wrong.values()))
        return verdict("agrees")


class _NoPath:
    """The user's own backward pass, which puts nothing back."""

    name = "no path"

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            f = model(x)
            torch.autograd.grad(f.sum(), [*trainable(model).values()], allow_unused=True)
        return {}


def _fail_without(problem: Problem, steps: Listed[str]) -> bool:
    """Whether the last of `steps` fails where the model is used without the path, too: the user's own, or ours."""
    stage = Stage(problem, _NoPath())
    stage.call()
    *earlier, last = steps
    for name in earlier:
        with suppress(Exception):
            HAPPENINGS[name](stage)
        stage.call()
    try:
        HAPPENINGS[last](stage)
    except InvalidProblem:
        return False
    except Exception:
        return True
    return False


def drawn(problem: Problem) -> list[str]:
    """`LENGTH` different steps, the same ones for the same problem."""
    return chance(problem).sample(sorted(STEPS.keys() - {"load"}), LENGTH)


def after(happened: list[str]) -> str:
    """``after another call, deepcopy and load_state_dict``"""
    *first, last = happened
    return f"after {', '.join(first)} and {last}" if first else f"after {last}"
