"""A model in use: what may happen to it between two calls of a path, and what a path gives for it all the same."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from copy import deepcopy
from threading import Thread

import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem
from jaccheck.paths import Path
from jaccheck.properties._trial import Run, called
from jaccheck.properties.determinism import difference

OTHER = {
    torch.float64: torch.float32,
    torch.float32: torch.float64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}
"""Where a model is moved for a while; the way back is exact but for float64."""

FEW = 2**10
"""Numbers that no kernel divides among threads."""


class Stage:
    """A copy of a problem's model, to which things happen, and another one from which fresh models are made.

    Raises:
        InvalidProblem: the model can't be copied.
    """

    def __init__(self, problem: Problem, path: Path) -> None:
        self.problem, self.path = problem, path
        self.x = _alike(problem.x.detach())
        self.model, self._first = _copied(problem.model), _copied(problem.model)
        self._x = self.x.clone()
        self._original = {name: t.clone() for name, t in self._first.state_dict().items()}
        self._fresh: Run | None = None

    def call(self, model: nn.Module | None = None, x: Tensor | None = None) -> Run:
        """What the path gives for the model in use, or for another one; it stays as the path leaves it."""
        model, x = self.model if model is None else model, self.x if x is None else x
        return called(self.path, model, x, self.problem.before)

    def fresh_model(self) -> nn.Module:
        """Another model with the parameters, buffers and modes of the one in use, of which nothing else is known."""
        model = _copied(self._first)
        with torch.no_grad():
            for ours, theirs in zip(_tensors(model), _tensors(self.model), strict=True):
                ours.copy_(theirs)
                ours.requires_grad_(theirs.requires_grad)
        for mine, other in zip(model.modules(), self.model.modules(), strict=True):
            mine.training = other.training
        return model

    def fresh(self) -> Run:
        """What the path gives for a fresh model."""
        if self._fresh is None:
            self._fresh = self.call(self.fresh_model(), _alike(self.x))
        return self._fresh

    def changed(self) -> None:
        """The parameters, buffers or modes aren't what they were."""
        self._fresh = None

    def original(self) -> None:
        """Parameters, buffers and the input get the values they had at first."""
        self.model.load_state_dict(self._original)
        if not _same_bits(self.x, self._x):
            self.x.copy_(self._x)
        self.changed()

    def apart(self, run: Run, here: str) -> str | None:
        """In words, how `run`, of what came up `here`, differs from what the path gives for a fresh model."""
        if run.unsupported is not None and self.extended():
            return None  # what a user's hooks may be, BackPACK's among them, a path may refuse
        return difference(run, self.fresh(), here, "for a fresh model")

    def extended(self) -> bool:
        return any("_backpack_extend" in vars(module) for module in self.model.modules())


def _copied(model: nn.Module) -> nn.Module:
    try:
        return deepcopy(model)
    except Exception as error:  # the user's own classes
        raise InvalidProblem(f"the model can't be copied: {error}") from error


def _alike(x: Tensor) -> Tensor:
    """A copy of its own, if that has the same strides; else `x` itself."""
    return x.clone() if x.is_contiguous() and not x.is_neg() else x


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


Step = Callable[[Stage], Run | None]
"""It may return a run that has to be as for a fresh model."""
STEPS: dict[str, Step] = {}
"""What may happen, by what it is in words; one raises InvalidProblem where it can't happen to this model."""


def step(words: str) -> Callable[[Step], Step]:
    def entered(function: Step) -> Step:
        STEPS[words] = function
        return function

    return entered


@step("another call")
def another_call(stage: Stage) -> Run:
    return stage.call()


@step("a call with other samples")
def other_samples(stage: Stage) -> None:
    stage.call(x=stage.x[:1] if len(stage.x) > 1 else torch.cat((stage.x, stage.x)))


@step("an update of the parameters in place")
def updated(stage: Stage) -> None:
    with torch.no_grad():
        for p in stage.model.parameters():
            p.mul_(-0.5)
    stage.changed()


@step("an update of the parameters' data, which autograd doesn't see")
def updated_data(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.data.mul_(-0.5)
    stage.changed()


@step("other numbers in the same input")
def overwritten(stage: Stage) -> None:
    if not stage.x.is_contiguous() or stage.x.is_neg():
        raise InvalidProblem("the input is the user's own")
    stage.x.copy_(stage.x.neg().roll(1, 0))
    stage.changed()


@step("ten more calls")
def many_calls(stage: Stage) -> Run:
    return [stage.call() for _ in range(10)][-1]


@step("a call with one more thread of torch's")
def threaded(stage: Stage) -> Run:
    if max(t.numel() for t in (stage.x, *_tensors(stage.model))) > FEW:
        raise InvalidProblem("with more threads, sums may be split in another way")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        return stage.call()
    finally:
        torch.set_num_threads(threads)


@step("new memory for the parameters")
def replaced_data(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.data = p.detach().neg()
    stage.changed()


@step("load_state_dict")
def loaded(stage: Stage) -> None:
    stage.original()


@step("a move to another dtype, a call there, and the way back")
def moved(stage: Stage) -> None:
    dtype = stage.x.dtype
    stage.model.to(OTHER[dtype])
    stage.call(x=stage.x.to(OTHER[dtype]))
    stage.model.to(dtype)
    stage.changed()


@step("a call in eval mode")
def evaluated(stage: Stage) -> None:
    modes = [module.training for module in stage.model.modules()]
    stage.model.eval()
    stage.call()
    for module, training in zip(stage.model.modules(), modes, strict=True):
        module.training = training


@step("a parameter frozen for one call")
def frozen(stage: Stage) -> None:
    trainable = [p for p in stage.model.parameters() if p.requires_grad]
    trainable[0].requires_grad_(False)
    stage.call()
    trainable[0].requires_grad_()


def _backward(stage: Stage) -> None:
    if not stage.extended():  # BackPACK's hooks run in each backward pass, and not all models are for it
        with torch.enable_grad():
            f = stage.model(stage.x).sum()
        if f.requires_grad:
            f.backward()


@step("a backward pass of the user's own")
def backward(stage: Stage) -> None:
    _backward(stage)


@step("a backward pass of the user's own, a call, and zero_grad")
def zeroed(stage: Stage) -> None:
    _backward(stage)
    stage.call()
    stage.model.zero_grad(set_to_none=False)


@step("gradients set beforehand")
def gradients_set(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.grad = torch.ones_like(p)


@step("deepcopy")
def deep_copied(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.grad = None
    stage.model = deepcopy(stage.model)


@step("pickle")
def pickled(stage: Stage) -> None:
    try:
        pickle.dumps(stage.fresh_model())
    except Exception as error:  # a class that pickle doesn't find, say
        raise InvalidProblem(f"the model can't be pickled: {error}") from error
    stage.model = pickle.loads(pickle.dumps(stage.model))


@step("BackPACK's extend, if it is in use")
def user_extends(stage: Stage) -> None:
    backpack = sys.modules.get("backpack")
    if backpack is not None:
        backpack.extend(stage.model)


class _Interrupted(Exception):
    pass


@step("an exception in the middle of a call")
def interrupted(stage: Stage) -> None:
    def interrupt(*_: object) -> None:
        raise _Interrupted

    *_, last = stage.model.modules()
    handle = last.register_forward_pre_hook(interrupt)
    stage.call()
    handle.remove()
    handles = [p.register_hook(interrupt) for p in stage.model.parameters() if p.requires_grad]  # type: ignore[no-untyped-call]
    stage.call()
    for handle in handles:
        handle.remove()


@step("a call for another model")
def another_model(stage: Stage) -> None:
    other = stage.fresh_model()
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(-2)
    stage.call(other)


@step("a call in another thread")
def in_a_thread(stage: Stage) -> Run:
    runs: list[Run] = []
    thread = Thread(target=lambda: runs.append(stage.call()))
    thread.start()
    thread.join()
    return runs[0]
