"""Other calls, also such as fail."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from math import nan

import torch
from torch.nn.modules.module import register_module_forward_hook

from jaccheck._errors import InvalidProblem
from jaccheck._steps import STEPS
from jaccheck.judging.trial import called
from jaccheck.paths import DEFAULT, get
from jaccheck.properties._happenings._step import during, step, taking_hooks
from jaccheck.properties._stage import Stage


@step("again")
def again(stage: Stage) -> str | None:
    return stage.apart(stage.call(), f"in {STEPS['again']}")


@step("ten")
def ten(stage: Stage) -> str | None:
    return stage.apart([stage.call() for _ in range(10)][-1], f"in {STEPS['ten']}")


@step("other_samples")
def other_samples(stage: Stage) -> str | None:
    """With none, with one and with twice as many; of the fewest the enclosure is asked, too."""
    x = stage.x if len(stage.x) else stage.x.new_zeros(1, *stage.x.shape[1:])
    others = {len(other): other for other in (x[:0], x[:1], torch.cat((x, x))) if len(other) != len(stage.x)}
    fewest = min(filter(None, others))
    apart = (stage.compared(during("other_samples"), other, asked=n == fewest) for n, other in others.items())
    return next(filter(None, apart), None)


@step("another_model")
def another_model(stage: Stage) -> str | None:
    """It is the same one each time, with other parameters."""
    if stage.other is None:
        stage.other = stage.another()
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


@step("hooks")
def hooks(stage: Stage) -> str | None:
    def look(*_: object) -> None: ...

    modules = taking_hooks(stage.model)
    handles = [last.register_forward_hook(look) for last in modules[-1:]]
    handles += [first.register_forward_pre_hook(look) for first in modules[:1]]
    handles += [p.register_hook(look) for p in stage.model.parameters() if p.requires_grad]  # type: ignore[no-untyped-call]
    handles.append(register_module_forward_hook(look))
    run = stage.call()
    for handle in handles:
        handle.remove()
    return stage.apart(run, f"in {STEPS['hooks']}") if run.unsupported is None else None


class _Stopped(BaseException):
    """As Ctrl-C raises."""


FAILURES = (Exception, RuntimeError, MemoryError, ValueError, NotImplementedError)


def _raise(error: type[BaseException], raised: list[BaseException], *_: object) -> None:
    raised.append(error("it is the user's own"))
    raise raised[-1]


@step("interrupt")
def interrupt(stage: Stage) -> str | None:
    """In the forward pass, which takes no time, by all of `FAILURES`, in the backward pass by one."""
    parameters = [p for p in stage.model.parameters() if p.requires_grad]
    forward = [last.register_forward_pre_hook for last in taking_hooks(stage.model)[-1:]]
    backward = [p.register_hook for p in parameters]
    for places, failures in ((forward, FAILURES), (backward, [stage.chance.choice(FAILURES)])):
        for error in (*failures, _Stopped) if places else ():
            raised: list[BaseException] = []
            handles = [register(partial(_raise, error, raised)) for register in places]
            run = stage.call()
            lost = bool(raised) and run.raised is None and _loses(stage, raised)
            for handle in handles:
                handle.remove()
            if lost:
                return f"{STEPS['interrupt']} is lost: the path gave a result all the same"
            if raised and run.raised is not None and not _tells_of(run.raised, raised):
                return f"{STEPS['interrupt']} is lost: the user's was {error.__name__}, the path's {run.exception}"
    return None


def _tells_of(error: BaseException | None, raised: list[BaseException]) -> bool:
    """Whether it is one of those raised, or its traceback tells of one."""
    while error is not None:
        if any(error is one for one in raised):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _loses(stage: Stage, raised: list[BaseException]) -> bool:
    """Whether it is in the path that an exception is lost: what a call has changed is tried without the path, too."""
    raised.clear()
    try:
        with stage.problem.chance():
            stage.path.jacobian(stage.model, stage.x)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return False
    return bool(raised)


@step("overwrite")
def overwrite(stage: Stage) -> str | None:
    """Parameter by parameter: nothing else changes with it, and nobody asks what was there."""
    last, kept = stage.disowned()
    for name, j in last.items():
        apart = stage.overwritten("after another parameter's was", {name: j}, {name: kept[name]})
        if apart is not None:
            return apart
        try:
            j.fill_(nan)
        except (AttributeError, RuntimeError) as error:  # no tensor; or one whose elements share their memory
            raise InvalidProblem(f"it can't be written to: {error}") from error
    return None


@step("let_go")
def let_go(stage: Stage) -> None:
    model = stage.fresh_model()
    stage.call(model)
    stage.disowned()
    gone = weakref.ref(model)
    del model
    for generation in (1, 2):  # in most cases it has gone by itself; the last takes as long as there are objects
        if gone() is not None:
            gc.collect(generation)
    if gone() is not None:
        stage.left.append("another model is kept in memory after its last use")
