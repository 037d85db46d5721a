"""The layers of a network as plain data: each says what becomes of a sample's shape, and builds its module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from ._activations import ACTIVATIONS
from ._errors import InvalidProblem
from ._modules import Chain, Either, Functional, LastFirst, Sum
from ._values import ZEROS, Spec, Values, a_bool, a_tuple, an_integer, invalid, one_of

Shape = tuple[int, ...]
Parameters = tuple[tuple[str, float | str], ...]
Size = tuple[int, int]
"""The number of parameters, and of what the layers give for one sample."""

MAX_WIDTH = 2**20
MAX_LAYERS = 1000  # in all, each counted as often as it is applied
MAX_NESTING = 20
EDGES = (15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257)
"""Sizes at which kernels change: a vector's length, multiples of it, and what is next to them."""


@dataclass(frozen=True)
class Target:
    """Where and in what dtype a network is built."""

    dtype: str
    device: str


@dataclass(frozen=True, repr=False)
class Linear(Spec):
    """``a Wᵀ + b``; its fan-in is the width of what comes before it, and so is its `width` where that is 0."""

    width: int = 1
    weight: Values = ZEROS
    bias: Values | None = ZEROS
    frozen: tuple[str, ...] = ()  # of "weight" and "bias": those that don't require grad

    def __post_init__(self) -> None:
        an_integer("width", self.width, 0, MAX_WIDTH)
        if type(self.weight) is not Values:
            raise invalid("weight", self.weight, "Values")
        if self.bias is not None and type(self.bias) is not Values:
            raise invalid("bias", self.bias, "Values or None")
        a_tuple("frozen", self.frozen)
        for i, name in enumerate(self.frozen):
            one_of(f"frozen[{i}]", name, ("weight", "bias") if self.bias is not None else ("weight",))
        if len(set(self.frozen)) < len(self.frozen):
            raise invalid("frozen", self.frozen, "without repetition")

    def follow(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise InvalidProblem(f"is a Linear after the shape {list(shape)}; put a Flatten before it")
        return (self.width or shape[0],)

    def size(self, shape: Shape) -> Size:
        width = self.width or shape[0]
        return width * (shape[0] + (self.bias is not None)), width

    def build(self, shape: Shape, target: Target) -> nn.Module:
        (fan_in,) = shape
        width = self.width or fan_in
        layer = nn.Linear(fan_in, width, self.bias is not None, device="meta")  # there it draws no random numbers
        layer.weight = _parameter(self.weight.tensor((width, fan_in), target.dtype, fan_in), "weight", self, target)
        if self.bias is not None:
            layer.bias = _parameter(self.bias.tensor((width,), target.dtype), "bias", self, target)
        return layer


def _parameter(values: Tensor, name: str, layer: Linear, target: Target) -> nn.Parameter:
    return nn.Parameter(values.to(target.device), requires_grad=name not in layer.frozen)


@dataclass(frozen=True, repr=False)
class Activation(Spec):
    """One of `ACTIVATIONS`; parameters that aren't named are torch's default."""

    name: str = "Identity"
    parameters: Parameters = ()  # pairs of name and value, in the order of the names
    functional: bool = False  # torch.nn.functional.relu in a module of our own, for torch.nn.ReLU

    def __post_init__(self) -> None:
        one_of("name", self.name, ACTIVATIONS)
        a_tuple("parameters", self.parameters)
        known = ACTIVATIONS[self.name].parameters
        for i, pair in enumerate(self.parameters):
            if type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not str:
                raise invalid(f"parameters[{i}]", pair, "a pair of name and value")
            name, value = pair
            if name not in known:
                raise invalid(f"parameters[{i}]", name, f"a parameter of {self.name}: {', '.join(known) or 'none'}")
            if not known[name].allows(value):
                raise invalid(name, value, str(known[name]))
        values = ((name, value if isinstance(value, str) else float(value) + 0.0) for name, value in self.parameters)
        object.__setattr__(self, "parameters", tuple(values))  # 1 and 1.0, 0.0 and -0.0 are the same
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)):
            raise invalid("parameters", self.parameters, "sorted by name, each name once")
        a_bool("functional", self.functional)

    def follow(self, shape: Shape) -> Shape:
        return shape

    def size(self, shape: Shape) -> Size:
        return 0, prod(shape)

    def build(self, shape: Shape, target: Target) -> nn.Module:
        kind, parameters = ACTIVATIONS[self.name], dict(self.parameters)
        return Functional(self.name, parameters) if self.functional else kind.module(**parameters)


@dataclass(frozen=True, repr=False)
class Flatten(Spec):
    """All but the batch axis into one."""

    def follow(self, shape: Shape) -> Shape:
        return (prod(shape),)

    def size(self, shape: Shape) -> Size:
        return 0, prod(shape)

    def build(self, shape: Shape, target: Target) -> nn.Module:
        return nn.Flatten()


@dataclass(frozen=True, repr=False)
class Dropout(Spec):
    """Random in training mode."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if type(self.p) not in (int, float) or not 0 <= self.p <= 1:
            raise invalid("p", self.p, "a number from 0 to 1")

    def follow(self, shape: Shape) -> Shape:
        return shape

    def size(self, shape: Shape) -> Size:
        return 0, prod(shape)

    def build(self, shape: Shape, target: Target) -> nn.Module:
        return nn.Dropout(self.p)


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


def arranged(x: Tensor, layout: str) -> Tensor:
    """The same numbers in memory as `layout` says (``"expanded"``: those of the first sample, for all)."""
    if layout == "transposed":
        backward = tuple(reversed(range(x.dim())))
        return x.permute(backward).contiguous().permute(backward)
    if layout == "strided":
        return torch.stack((x, x), dim=-1)[..., 0]
    if layout == "offset":
        return torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape)
    if layout == "expanded" and len(x):
        return x[:1].clone().expand(x.shape)
    return x


LAYOUTS = ("contiguous", "transposed", "strided", "offset", "expanded")
