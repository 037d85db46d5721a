"""The steps of a sequence: what happens to a model in use."""

from __future__ import annotations

import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from functools import partial
from threading import Thread
from typing import Any

import torch
import torch.utils._device
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from jaccheck import _history
from jaccheck._errors import InvalidProblem
from jaccheck._modules import Either
from jaccheck._steps import STEPS
from jaccheck.paths import DEFAULT, get
from jaccheck.properties._copies import copied
from jaccheck.properties._stage import Stage, tensors
from jaccheck.properties._trial import Run, called

OTHER = {
    torch.float64: torch.float32,
    torch.float32: torch.float64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}
"""Where a model is moved for a while; the way back is exact but for float64."""

FEW = 2**10
"""Numbers that no kernel divides among threads."""

Happening = Callable[[Stage], str | None]
"""It may say what is wrong by itself; it raises InvalidProblem where it can't happen to this model."""
HAPPENINGS: dict[str, Happening] = {}
"""One for each of `STEPS`."""


def step(name: str) -> Callable[[Happening], Happening]:
    def entered(function: Happening) -> Happening:
        HAPPENINGS[name] = function
        return function

    return entered


def during(name: str) -> str:
    return f"during {STEPS[name]}"


@step("again")
def again(stage: Stage) -> str | None:
    return stage.apart(stage.call(), f"in {STEPS['again']}")


@step("ten")
def ten(stage: Stage) -> str | None:
    return stage.apart([stage.call() for _ in range(10)][-1], f"in {STEPS['ten']}")


@step("other_samples")
def other_samples(stage: Stage) -> str | None:
    x = stage.x[:1] if len(stage.x) > 1 else torch.cat((stage.x, stage.x))
    return stage.compared(during("other_samples"), x)


@step("other_input")
def other_input(stage: Stage) -> None:
    if not stage.x.is_contiguous() or stage.x.is_neg():
        raise InvalidProblem("the input is the user's own")
    stage.x.copy_(stage.x.neg().roll(1, 0))
    stage.changed()


@step("update")
def update(stage: Stage) -> None:
    with torch.no_grad():
        for p in stage.model.parameters():
            p.mul_(-0.5)
    stage.changed()


@step("update_one")
def update_one(stage: Stage) -> None:
    with torch.no_grad():
        for p in stage.model.parameters():
            if p.numel():
                last = tuple(size - 1 for size in p.shape)
                p[last] = 1 - p[last]
    stage.changed()


@step("update_data")
def update_data(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.data.copy_(p.data.flatten().roll(1).view(p.shape))  # so that no sum or norm tells of it either
    stage.changed()


@step("new_memory")
def new_memory(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.data = p.detach().neg()
    stage.changed()


@step("load")
def load(stage: Stage) -> None:
    stage.original()


@step("move")
def move(stage: Stage) -> str | None:
    dtype = stage.x.dtype
    stage.model.to(OTHER[dtype])
    apart = stage.compared(during("move"), stage.x.to(OTHER[dtype]))
    stage.model.to(dtype)
    stage.changed()
    return apart


@step("eval")
def evaluate(stage: Stage) -> str | None:
    modes = [(module, module.training) for module in stage.model.modules()]
    stage.model.eval()
    apart = stage.compared(during("eval"))
    for module, training in modes:
        module.training = training
    return apart


@step("mixed_modes")
def mixed_modes(stage: Stage) -> str | None:
    modules = dict(stage.model.named_modules())
    if any(isinstance(module, _DropoutNd) for module in modules.values()):
        raise InvalidProblem("Dropout draws")
    before = {name: module.training for name, module in modules.items()}
    for name in [*modules][::2]:
        modules[name].training = not before[name]
    mixed = {name: module.training for name, module in modules.items()}
    apart = stage.compared(during("mixed_modes"))
    changed = [name or "the model" for name, module in modules.items() if module.training != mixed[name]]
    for name, module in modules.items():
        module.training = before[name]
    if changed:
        return f"{during('mixed_modes')}, {changed[0]} is in the other mode than before"
    return apart


@step("settings")
def settings(stage: Stage) -> str | None:
    numbers = [
        (module, name, value)
        for module in stage.model.modules()
        for name, value in vars(module).items()
        if name in ("alpha", "beta", "lambd", "negative_slope") and type(value) in (int, float)
    ]
    choices = [module for module in stage.model.modules() if isinstance(module, Either)]
    if not numbers and not choices:
        raise InvalidProblem("there are no settings")
    for module, name, value in numbers:
        setattr(module, name, 0.5 * value)
    for either in choices:
        either.active -= 1
    apart = stage.compared(during("settings"))
    for module, name, value in numbers:
        setattr(module, name, value)
    for either in choices:
        either.active += 1
    return apart


@step("freeze")
def freeze(stage: Stage) -> str | None:
    return _frozen(stage, during("freeze"))


@step("first_frozen")
def first_frozen(stage: Stage) -> str | None:
    other = Stage(stage.problem, stage.path)
    return _frozen(other, during("first_frozen")) or other.apart(other.call(), f"after {STEPS['first_frozen']}")


def _frozen(stage: Stage, here: str) -> str | None:
    first = next(p for p in stage.model.parameters() if p.requires_grad)
    first.requires_grad_(False)
    apart = stage.compared(here)
    first.requires_grad_()
    return apart


@step("new_parameters")
def new_parameters(stage: Stage) -> None:
    if any(p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None) for p in stage.model.parameters()):
        raise InvalidProblem("the user's hooks are on the old ones")
    others = {id(p): nn.Parameter(p.detach().neg(), requires_grad=p.requires_grad) for p in stage.model.parameters()}
    for module in stage.model.modules():
        for name, p in module._parameters.items():
            if p is not None:
                module._parameters[name] = others[id(p)]
    stage.changed()


def _output(stage: Stage, model: nn.Module) -> Tensor | None:
    """The sum of the output, if there is anything to differentiate."""
    with torch.enable_grad(), stage.problem.chance():
        f = model(stage.x).sum()
    return f if f.requires_grad else None


@contextmanager
def _quietly() -> Iterator[None]:
    """Not a word on the user's own hooks: it is no path that makes torch speak of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing when gradients are computed")
        yield


def _backward(stage: Stage) -> None:
    if not stage.extended():  # BackPACK's hooks run in each backward pass, and not all models are for it
        f = _output(stage, stage.model)
        if f is not None:
            with _quietly():
                f.backward()  # type: ignore[no-untyped-call]


@step("backward")
def backward(stage: Stage) -> None:
    _backward(stage)


@step("backward_after")
def backward_after(stage: Stage) -> str | None:
    """The user's own gradients are what they are without any path, too."""
    if stage.extended():
        raise InvalidProblem("the model has BackPACK's hooks")
    expected = _gradients(_output(stage, fresh := stage.fresh_model()), fresh)
    f = _output(stage, stage.model)
    stage.call()
    got = _gradients(f, stage.model)
    for name, gradient in got.items():
        if not torch.equal(gradient.nan_to_num(), expected[name].nan_to_num()):
            return f"after a call, the user's own gradient of {name!r}, of a graph from before it, is another one"
    return None


def _gradients(f: Tensor | None, model: nn.Module) -> dict[str, Tensor]:
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if f is None:
        return {}
    with _quietly():
        found = torch.autograd.grad(f, list(parameters.values()), allow_unused=True)
    return {name: g for name, g in zip(parameters, found, strict=True) if g is not None}


@step("zero_grad")
def zero_grad(stage: Stage) -> None:
    _backward(stage)
    stage.call()
    stage.model.zero_grad(set_to_none=False)


@step("grad")
def grad(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.grad = torch.ones_like(p)


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

    def ask() -> Any:
        return torch.utils._device.CURRENT_DEVICE

    with _set(ask, torch.set_default_device, {ask(): "meta"}):
        try:
            if _output(stage, stage.fresh_model()) is None:
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = torch.autograd.set_detect_anomaly(True, check_nan=False)
    return _under(stage, context, "anomaly")


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


@step("deepcopy")
def deep_copied(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.grad = None
    stage.model = copied(stage.model) if stage.extended() else deepcopy(stage.model)  # its records are no leaves


@step("pickle")
def pickled(stage: Stage) -> None:
    if stage.extended():
        raise InvalidProblem("the model has BackPACK's hooks")
    try:
        pickle.dumps(stage.fresh_model())
    except Exception as error:  # a class that pickle doesn't find, say
        raise InvalidProblem(f"the model can't be pickled: {error}") from error
    stage.model = pickle.loads(pickle.dumps(stage.model))


@step("extend")
def extend(stage: Stage) -> None:
    _history.extend(stage.model)


@step("hooks")
def hooks(stage: Stage) -> str | None:
    def look(*_: object) -> None: ...

    *_, last = stage.model.modules()
    handles = [last.register_forward_hook(look), stage.model.register_forward_pre_hook(look)]
    handles += [p.register_hook(look) for p in stage.model.parameters() if p.requires_grad]  # type: ignore[no-untyped-call]
    run = stage.call()
    for handle in handles:
        handle.remove()
    return stage.apart(run, f"in {STEPS['hooks']}") if run.unsupported is None else None


class _Failed(Exception):
    pass


class _Stopped(BaseException):
    """As Ctrl-C raises."""


def _raise(error: type[BaseException], raised: list[BaseException], *_: object) -> None:
    raised.append(error())
    raise raised[-1]


@step("interrupt")
def interrupt(stage: Stage) -> str | None:
    """In the forward pass, and in the backward pass."""
    *_, last = stage.model.modules()
    parameters = [p for p in stage.model.parameters() if p.requires_grad]
    for error in (_Failed, _Stopped):
        for places in ([last.register_forward_pre_hook], [p.register_hook for p in parameters]):
            raised: list[BaseException] = []
            handles = [register(partial(_raise, error, raised)) for register in places]
            run = stage.call()
            for handle in handles:
                handle.remove()
            if run.changes:
                return f"after {STEPS['interrupt']}, {run.changes[0]}"
            if raised and run.raised is None:
                return f"{STEPS['interrupt']} is lost: the path gave a result all the same"
    return None


@step("another_model")
def another_model(stage: Stage) -> str | None:
    """It is the same one each time, with other parameters."""
    if stage.other is None:
        stage.other = Stage(stage.problem, stage.path)
    other = stage.other
    with torch.no_grad():
        for p in other.model.parameters():
            p.mul_(-2)
    other.changed()
    return other.apart(other.call(), f"in {STEPS['another_model']}")


@step("other_paths")
def other_paths(stage: Stage) -> None:
    for name in DEFAULT:
        if name != stage.path.name:
            called(get(name), stage.problem, stage.model, stage.x)


@step("reseed")
def reseed(stage: Stage) -> str | None:
    if any(isinstance(module, _DropoutNd) and module.training for module in stage.model.modules()):
        raise InvalidProblem("Dropout draws")
    for seed in range(3):
        torch.manual_seed(seed)
        random.seed(seed)
        apart = stage.apart(stage.call(), "with other random numbers to come")  # then the generators are as they were
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
    if max(t.numel() for t in (stage.x, *tensors(stage.model))) > FEW:
        raise InvalidProblem("with more threads, sums may be split in another way")
    number = torch.get_num_threads()
    torch.set_num_threads(number + 1)
    try:
        return stage.apart(stage.call(), f"in {STEPS['threads']}")
    finally:
        torch.set_num_threads(number)


@step("overwrite")
def overwrite(stage: Stage) -> None:
    last, stage.last = stage.last, None
    for j in (last or {}).values():
        try:
            j.zero_()
        except (AttributeError, RuntimeError) as error:  # no tensor; or one whose elements share their memory
            raise InvalidProblem(f"it can't be written to: {error}") from error
