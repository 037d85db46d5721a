"""What is done to the model as a whole: moves, modes, settings, copies."""

from __future__ import annotations

import pickle

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from jaccheck import _history
from jaccheck._activations import ACTIVATIONS
from jaccheck._errors import InvalidProblem
from jaccheck._modules import Either
from jaccheck._steps import STEPS
from jaccheck.properties._copies import copied
from jaccheck.properties._happenings._step import OTHER, during, step, taking_hooks
from jaccheck.properties._stage import Stage

NUMBERS = {name for kind in ACTIVATIONS.values() for name in kind.parameters} | {"p"}
"""Names of attributes of activations and Dropout that say what they compute."""


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
    """Dropout stays in its mode, be that the model's or not: it draws no more than it does."""
    modules = dict(stage.model.named_modules())
    before = {name: module.training for name, module in modules.items()}
    for name in [*modules][::2]:
        if not isinstance(modules[name], _DropoutNd):
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
    found = [
        (module, name, value / 2)
        for module in stage.model.modules()
        for name, value in vars(module).items()
        if name in NUMBERS and type(value) in (int, float)
    ]
    found += [(module, "active", module.active - 1) for module in stage.model.modules() if isinstance(module, Either)]
    if not found:
        raise InvalidProblem("there are no settings")
    module, name, other = stage.chance.choice(found)
    before = getattr(module, name)
    setattr(module, name, other)
    apart = stage.compared(during("settings"))
    setattr(module, name, before)
    return apart


@step("freeze")
def freeze(stage: Stage) -> str | None:
    return _frozen(stage, during("freeze"))


@step("all_frozen")
def all_frozen(stage: Stage) -> None:
    """Where there is no Jacobian, what a path gives, or raises, is its own affair."""
    trainable = [p for p in stage.model.parameters() if p.requires_grad]
    stage.model.requires_grad_(False)
    stage.call()
    for p in trainable:
        p.requires_grad_()


@step("first_frozen")
def first_frozen(stage: Stage) -> str | None:
    other = stage.another()
    return _frozen(other, during("first_frozen")) or other.apart(other.call(), f"after {STEPS['first_frozen']}")


def _frozen(stage: Stage, here: str) -> str | None:
    first = next(p for p in stage.model.parameters() if p.requires_grad)
    first.requires_grad_(False)
    apart = stage.compared(here)
    first.neg_()
    apart = apart or stage.compared(f"{here}, in the second", asked=False)
    first.neg_().requires_grad_()
    return apart


@step("deepcopy")
def deep_copied(stage: Stage) -> None:
    for p in stage.model.parameters():
        p.grad = None
    stage.model = copied(stage.model)  # results that it keeps, or BackPACK does, aren't leaves, which deepcopy refuses


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
    if _is_compiled(stage.model):
        raise InvalidProblem("what torch.jit has compiled takes no hooks")
    _history.extend(stage.model)


def _is_compiled(model: nn.Module) -> bool:
    """Whether any part of it is."""
    return len(taking_hooks(model)) < len([*model.modules()])
