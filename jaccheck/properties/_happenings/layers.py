"""Other layers in the places of a model's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import nn

from jaccheck._activations import ACTIVATIONS
from jaccheck._errors import InvalidProblem
from jaccheck.properties._copies import copied
from jaccheck.properties._happenings._step import during, step
from jaccheck.properties._stage import Stage

ACTIVATING = tuple(kind.module for kind in ACTIVATIONS.values())


@step("new_module")
def new_module(stage: Stage) -> None:
    """Of the same class, with other numbers; nobody else has its parameters."""
    old = stage.chance.choice(_replaceable(stage))
    new = copied(old)
    with torch.no_grad():
        for p in new.parameters():
            p.neg_()
    _put(stage, {old: new})


def _replaceable(stage: Stage) -> list[nn.Module]:
    """Layers whose parameters nobody else has."""
    uses = Counter(p for module in stage.model.modules() for p in module._parameters.values() if p is not None)
    layers = [
        layer
        for layer in stage.model.modules()
        if layer is not stage.model and layer._parameters and not layer._modules
        if all(uses[p] == 1 for p in layer.parameters())
    ]
    if not layers or stage.extended():
        raise InvalidProblem("there is no layer that could be replaced")
    return layers


def _put(stage: Stage, others: dict[nn.Module, nn.Module]) -> None:
    _replace(stage.model, others)
    if not stage.is_as_fresh():
        _replace(stage.model, {new: old for old, new in others.items()})
        raise InvalidProblem("the model keeps its layers in other places, too")
    stage.changed()


def _replace(model: nn.Module, others: dict[nn.Module, nn.Module]) -> None:
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in others:
                parent._modules[name] = others[child]


@step("new_activation")
def new_activation(stage: Stage) -> str | None:
    fresh = stage.fresh_model()
    theirs = dict(fresh.named_modules())
    places = [
        (layer, theirs[name])
        for name, layer in stage.model.named_modules()
        if name in theirs and layer is not stage.model and type(layer) in ACTIVATING
    ]
    if not places or stage.extended():
        raise InvalidProblem("there is no activation that could be replaced")
    before, there = stage.chance.choice(places)
    make: Callable[[], nn.Module] = nn.Tanh if type(before) is nn.Sigmoid else nn.Sigmoid
    new = make()
    _replace(stage.model, {before: new})
    _replace(fresh, {there: make()})
    apart = stage.compared(during("new_activation"), fresh=fresh)
    _replace(stage.model, {new: before})
    return apart


@step("new_head")
def new_head(stage: Stage) -> str | None:
    """As for other classes; in a Sequential of its own or not. Whether a layer is the last is tried elsewhere."""
    fresh, alone = stage.fresh_model(), stage.chance.choice((True, False))
    theirs = dict(fresh.named_modules())
    for name, layer in [] if stage.extended() else reversed([*stage.model.named_modules()]):
        if layer is stage.model or type(layer) is not nn.Linear or name not in theirs:
            continue
        tried = stage.fresh_model()
        _replace(tried, {tried.get_submodule(name): _wider(layer, alone)})
        if _outputs(stage, tried) == stage.problem.C + 1:
            new = _wider(layer, alone)
            _replace(stage.model, {layer: new})
            _replace(fresh, {theirs[name]: _wider(layer, alone)})
            apart = stage.compared(during("new_head"), fresh=fresh)
            _replace(stage.model, {new: layer})
            return apart
    raise InvalidProblem("there is no last layer that could be replaced")


def _wider(layer: nn.Linear, alone: bool) -> nn.Module:
    """With its first unit once more."""
    new = nn.Linear(layer.in_features, layer.out_features + 1, layer.bias is not None, device="meta")
    for name, p in layer.named_parameters():
        setattr(new, name, nn.Parameter(torch.cat((p.detach(), p.detach()[:1])), p.requires_grad))
    return (new if alone else nn.Sequential(new)).train(layer.training)


def _outputs(stage: Stage, model: nn.Module) -> int | None:
    """None: its layers don't go together."""
    with torch.no_grad(), stage.problem.chance(), suppress(Exception):
        return int(model(stage.x.clone()).shape[1])
    return None
