"""Layers of layers, and what is said of lists of layers: how many there are, what becomes of a sample's shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Sequence as Listed
from dataclasses import dataclass

from torch import nn

from ._errors import InvalidProblem
from ._layers import Activation, Dropout, Flatten, Linear, Shape, Size, Target
from ._modules import Chain, Either, LastFirst, Sum
from ._values import Spec, a_bool, a_tuple, an_integer, invalid

MAX_LAYERS = 1000  # in all, each counted as often as it is applied
MAX_NESTING = 20


@dataclass(frozen=True, repr=False)
class _Container(Spec):
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        layers_only("layers", self.layers)

    def follow(self, shape: Shape) -> Shape:
        return followed("layers", self.layers, shape)

    def size(self, shape: Shape) -> Size:
        return total_size(self.layers, shape)


@dataclass(frozen=True, repr=False)
class Sequential(_Container):
    """A `torch.nn.Sequential` in the network's own."""

    own: bool = False  # a module class of our own with the same forward
    last_first: bool = False  # it registers its layers in the reverse of the order in which it calls them

    def __post_init__(self) -> None:
        super().__post_init__()
        a_bool("own", self.own)
        a_bool("last_first", self.last_first)
        if self.last_first and not self.own:
            raise InvalidProblem("last_first is for a module class of our own; set own as well")

    def build(self, shape: Shape, target: Target) -> nn.Module:
        kind = LastFirst if self.last_first else Chain if self.own else nn.Sequential
        return kind(_modules(self.layers, shape, target))


@dataclass(frozen=True, repr=False)
class Residual(_Container):
    """``a + layers(a)``; the layers keep the shape."""

    def follow(self, shape: Shape) -> Shape:
        return _kept(super().follow(shape), shape)

    def build(self, shape: Shape, target: Target) -> nn.Module:
        return Sum(nn.Sequential(_modules(self.layers, shape, target)))


@dataclass(frozen=True, repr=False)
class Repeat(_Container):
    """The same layers applied again and again; they keep the shape."""

    times: int = 2
    tied: bool = False  # other modules with the same parameters each time, instead of the same modules

    def __post_init__(self) -> None:
        super().__post_init__()
        an_integer("times", self.times, 1, MAX_LAYERS)
        a_bool("tied", self.tied)

    def follow(self, shape: Shape) -> Shape:
        return _kept(super().follow(shape), shape)

    def size(self, shape: Shape) -> Size:
        parameters, features = super().size(shape)
        return parameters, features * self.times

    def build(self, shape: Shape, target: Target) -> nn.Module:
        first = _one(_modules(self.layers, shape, target))
        if not self.tied:
            return nn.Sequential(*[first] * self.times)
        others = [_one(_modules(self.layers, shape, target)) for _ in range(self.times - 1)]
        for other in others:
            for ours, theirs in zip(other.modules(), first.modules(), strict=True):
                for name, parameter in theirs.named_parameters(recurse=False):
                    setattr(ours, name, parameter)
        return nn.Sequential(first, *others)


@dataclass(frozen=True, repr=False)
class Switch(_Container):
    """Its layers, in place of `other` ones that lead to the same shape and aren't active."""

    other: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        layers_only("other", self.other)

    def follow(self, shape: Shape) -> Shape:
        after, instead = super().follow(shape), followed("other", self.other, shape)
        if after != instead:
            raise InvalidProblem(
                f"is a Switch between the shapes {list(after)} and {list(instead)}; make them the same"
            )
        return after

    def size(self, shape: Shape) -> Size:
        parameters, features = super().size(shape)
        others, instead = total_size(self.other, shape)
        return parameters + others, features + instead

    def build(self, shape: Shape, target: Target) -> nn.Module:
        return Either(_one(_modules(layers, shape, target)) for layers in (self.layers, self.other))


Layer = Linear | Activation | Flatten | Dropout | Sequential | Residual | Repeat | Switch
LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer for layer in (Linear, Activation, Flatten, Dropout, Sequential, Residual, Repeat, Switch)
}
CONTAINERS = (Sequential, Residual, Repeat, Switch)


def layers_only(field: str, layers: object) -> None:
    a_tuple(field, layers)
    assert isinstance(layers, tuple)
    for i, layer in enumerate(layers):
        if type(layer) not in LAYERS.values():
            raise invalid(f"{field}[{i}]", layer, "a layer")


def count(layers: Listed[Layer], nesting: int = 0) -> int:
    """How many layers there are in all, repetitions included; InvalidProblem where there are too many."""
    if nesting > MAX_NESTING:
        raise InvalidProblem(f"layers are nested more than {MAX_NESTING} deep")
    total = 0
    for layer in layers:
        inner = count(layer.layers, nesting + 1) if isinstance(layer, _Container) else 0
        inner += count(layer.other, nesting + 1) if isinstance(layer, Switch) else 0
        total += 1 + inner * (layer.times if isinstance(layer, Repeat) else 1)
        if total > MAX_LAYERS:
            raise InvalidProblem(f"layers are more than {MAX_LAYERS} in all")
    return total


def within(layers: Listed[Layer], *, active: bool = True) -> Iterator[Layer]:
    """The layers, those of containers instead of these, each once; of a Switch the `active` ones, or all."""
    for layer in layers:
        if isinstance(layer, _Container):
            yield from within(layer.layers, active=active)
            if isinstance(layer, Switch) and not active:
                yield from within(layer.other, active=active)
        else:
            yield layer


def followed(field: str, layers: Listed[Layer], shape: Shape) -> Shape:
    """The shape of a sample behind `layers`; InvalidProblem, naming the layer, where they don't fit together."""
    for i, layer in enumerate(layers):
        try:
            shape = layer.follow(shape)
        except InvalidProblem as error:
            text = str(error)
            raise InvalidProblem(f"{field}[{i}]{' ' if text.startswith('is ') else '.'}{text}") from None
    return shape


def total_size(layers: Listed[Layer], shape: Shape) -> Size:
    parameters = features = 0
    for layer in layers:
        more_parameters, more_features = layer.size(shape)
        parameters, features = parameters + more_parameters, features + more_features
        shape = layer.follow(shape)
    return parameters, features


def _kept(after: Shape, before: Shape) -> Shape:
    if after != before:
        raise InvalidProblem(f"is a layer that takes {list(before)} to {list(after)}, but should keep the shape")
    return after


def _modules(layers: Listed[Layer], shape: Shape, target: Target) -> OrderedDict[str, nn.Module]:
    modules = OrderedDict()
    for i, layer in enumerate(layers):
        modules[str(i)] = layer.build(shape, target)
        shape = layer.follow(shape)
    return modules


def _one(modules: OrderedDict[str, nn.Module]) -> nn.Module:
    return modules["0"] if len(modules) == 1 else nn.Sequential(modules)


def sequential(layers: Listed[Layer], shape: Shape, target: Target) -> nn.Sequential:
    return nn.Sequential(_modules(layers, shape, target))
