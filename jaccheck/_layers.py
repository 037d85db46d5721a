"""Layers as plain data: each says what becomes of a sample's shape, and builds its module."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from ._activations import ACTIVATIONS
from ._errors import InvalidProblem
from ._modules import Functional
from ._values import ZEROS, Spec, Values, a_bool, a_tuple, an_integer, invalid, one_of

Shape = tuple[int, ...]
Parameters = tuple[tuple[str, float | str], ...]
Size = tuple[int, int]
"""The number of parameters, and of what the layers give for one sample."""

MAX_WIDTH = 2**20
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
