"""Under what a path is called: torch's modes and settings, threads, random numbers."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from typing import Any

import torch
from torch.nn.modules.dropout import _DropoutNd

from jaccheck import _torch_settings
from jaccheck._errors import InvalidProblem
from jaccheck._problem import admit
from jaccheck._steps import STEPS
from jaccheck.judging.form import malformed
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Run
from jaccheck.paths import rounding
from jaccheck.properties._happenings._step import OTHER, step
from jaccheck.properties._happenings.gradients import output
from jaccheck.properties._stage import Stage


@step("no_grad")
def no_grad(stage: Stage) -> str | None:
    return _under(stage, torch.no_grad(), "no_grad")


@step("inference_mode")
def inference_mode(stage: Stage) -> str | None:
    return _under(stage, torch.inference_mode(), "inference_mode")


@step("default_dtype")
def default_dtype(stage: Stage) -> str | None:
    return _under(stage, _set(torch.get_default_dtype, torch.set_default_dtype, OTHER), "default_dtype")


@step("default_device")
def default_device(stage: Stage) -> str | None:
    """That of shapes alone, on which no number can come out right."""
    stage.fresh()
    ask, choose = _torch_settings.default_device, _torch_settings.set_default_device
    with _set(ask, choose, {ask(): "meta"}):
        try:
            if output(stage, stage.fresh_model()) is None:
                raise InvalidProblem("there is nothing to differentiate")
        except RuntimeError as error:
            raise InvalidProblem(f"the model itself makes tensors on the default device: {error}") from error
        run = stage.call()
    return stage.apart(run, f"in {STEPS['default_device']}")


@step("deterministic")
def deterministic(stage: Stage) -> str | None:
    if stage.x.is_cuda:
        raise InvalidProblem("other kernels round otherwise")
    ask, choose = torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
    return _under(stage, _set(ask, choose, {0: 1, 1: 0, 2: 1}), "deterministic")


@step("anomaly")
def anomaly(stage: Stage) -> str | None:
    stage.fresh()  # before the context is made, which switches the detection on
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = torch.autograd.set_detect_anomaly(True, check_nan=False)
    return _under(stage, context, "anomaly")


@step("reseed")
def reseed(stage: Stage) -> str | None:
    if any(isinstance(module, _DropoutNd) and module.training for module in stage.model.modules()):
        raise InvalidProblem("Dropout draws")
    for seed in range(3):
        torch.manual_seed(seed)
        random.seed(seed)
        apart = stage.apart(stage.call(), "with other random numbers to come")
        stage.problem.before.restore()  # the generators, too
        if apart is not None:
            return apart
    return None


@step("thread")
def in_a_thread(stage: Stage) -> str | None:
    runs: list[Run] = []
    thread = Thread(target=lambda: runs.append(stage.call()))
    thread.start()
    thread.join()
    return stage.apart(runs[0], f"in {STEPS['thread']}")


@step("threads")
def threads(stage: Stage) -> str | None:
    """Kernels may divide a sum among threads in another way, so that where bits differ the enclosure decides."""
    stage.fresh()
    number = torch.get_num_threads()
    torch.set_num_threads(number + 1)
    try:
        run = stage.call()
    finally:
        torch.set_num_threads(number)
    apart = stage.apart(run, f"in {STEPS['threads']}")
    return None if apart is None or _is_inside(stage, run) else apart


def _is_inside(stage: Stage, run: Run) -> bool:
    """Whether the enclosure doesn't exclude what came out.

    Raises:
        InvalidProblem: nothing can be said.
    """
    problem = admit(stage.fresh_model(), stage.x, seed=stage.problem.seed)
    judge = Judge(problem)
    if judge.reason is not None:
        raise InvalidProblem(judge.reason)
    if run.raised is not None or malformed(problem, run.jacobian) is not None:
        return False
    return judge.compare(run.jacobian, rounding(stage.path)).worst is None


def _under(stage: Stage, context: AbstractContextManager[object], name: str) -> str | None:
    """A path may raise there: then it says so itself."""
    stage.fresh()
    with context:
        run = stage.call()
    return stage.apart(run, f"in {STEPS[name]}") if run.raised is None else None


@contextmanager
def _set(ask: Callable[[], Any], choose: Callable[[Any], object], other: Mapping[Any, Any]) -> Iterator[None]:
    """A setting has another value for a while."""
    before = ask()
    choose(other[before])
    try:
        yield
    finally:
        choose(before)
