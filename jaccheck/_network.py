"""The description of a problem as plain data, from which the same model and input are built everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ._activations import ACTIVATIONS
from ._errors import InvalidProblem
from ._layers import (
    LAYERS,
    LAYOUTS,
    MAX_NESTING,
    MAX_WIDTH,
    Activation,
    Layer,
    Target,
    arranged,
    count,
    followed,
    layers_only,
    sequential,
    total_size,
)
from ._values import DTYPES, ZEROS, Spec, Values, a_bool, a_tuple, an_integer, changed, invalid, one_of

FORMAT = 1
"""The version of the JSON format that this release writes, and the newest that it reads."""
MAX_NUMBERS = 2**25
"""The most parameters, and the most inputs and outputs of layers, that are built (268 MB in float64)."""


@dataclass(frozen=True, repr=False)
class Network(Spec):
    """A feed-forward model and a batch, as plain data: hashable, equal to another if it builds the same bits.

    `build` gives the same bits on every platform, torch release and device: no number comes from torch's generator or
    from floating-point arithmetic, see `Values`.

    Raises:
        InvalidProblem: a field is of the wrong type, out of its range, or doesn't fit to the others (a `Linear` on
            images, say), or there would be more than `MAX_NUMBERS` numbers; the message begins with the field.
    """

    layers: tuple[Layer, ...] = ()
    batch: int = 1  # N, from 0
    inputs: tuple[int, ...] = (1,)  # the shape of one sample
    x: Values = ZEROS
    dtype: str = "float64"
    device: str = "cpu"  # or "cuda:0", …
    x_layout: str = "contiguous"
    x_requires_grad: bool = False
    training: bool = True  # as a module is that was just made

    def __post_init__(self) -> None:
        layers_only("layers", self.layers)
        count(self.layers)
        an_integer("batch", self.batch, 0, MAX_NUMBERS)
        a_tuple("inputs", self.inputs)
        if not 1 <= len(self.inputs) <= 8:
            raise invalid("inputs", self.inputs, "one to eight sizes")
        for i, size in enumerate(self.inputs):
            an_integer(f"inputs[{i}]", size, 1, MAX_WIDTH)
        if type(self.x) is not Values:
            raise invalid("x", self.x, "Values")
        one_of("dtype", self.dtype, DTYPES)
        if type(self.device) is not str or not re.fullmatch(r"cpu|cuda:(0|[1-9][0-9]?)", self.device):
            raise invalid("device", self.device, "'cpu', 'cuda:0', 'cuda:1', …")
        one_of("x_layout", self.x_layout, LAYOUTS)
        a_bool("x_requires_grad", self.x_requires_grad)
        a_bool("training", self.training)
        outputs = followed("layers", self.layers, self.inputs)
        if len(outputs) != 1:
            raise InvalidProblem(f"inputs lead to outputs of the shape {list(outputs)}; append a Flatten to layers")
        parameters, features = total_size(self.layers, self.inputs)
        numbers = max(parameters, self.batch * (prod(self.inputs) + features))
        if numbers > MAX_NUMBERS:
            raise InvalidProblem(f"layers and batch need {numbers} numbers, but at most {MAX_NUMBERS} are built")

    @property
    def outputs(self) -> int:
        """C."""
        return followed("layers", self.layers, self.inputs)[0]

    @property
    def parameters(self) -> int:
        """The number of parameters, frozen ones included."""
        return total_size(self.layers, self.inputs)[0]

    def build(self) -> tuple[nn.Module, Tensor]:
        """The model, and the input ``[N, *features]``.

        Raises:
            InvalidProblem: there is no such device here.
        """
        if self.device != "cpu" and int(self.device[5:]) >= torch.cuda.device_count():
            raise invalid("device", self.device, f"'cpu', or one of the {torch.cuda.device_count()} CUDA devices here")
        with torch.inference_mode(False), torch.no_grad():
            model = sequential(self.layers, self.inputs, Target(self.dtype, self.device)).train(self.training)
            x = self.x.tensor((self.batch, *self.inputs), self.dtype).to(self.device)
            x = arranged(x, self.x_layout).requires_grad_(self.x_requires_grad)
        return model, x

    def to_json(self) -> str:
        """One line of JSON; what is as by default is left out."""
        return json.dumps({"format": FORMAT, **_plain(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Network:
        """The network that `to_json` wrote.

        Raises:
            InvalidProblem: not JSON, of a newer format, or not a network; the message names the field.
        """
        data = _parsed(text)
        version = data.pop("format", None)
        if type(version) is not int or version < 1:
            raise invalid("format", version, f"an integer from 1 to {FORMAT}")
        if version > FORMAT:
            raise InvalidProblem(
                f"format is {version}, but this jaccheck reads formats up to {FORMAT}; use a newer one"
            )
        network: Network = _read(cls, data, "")
        return network


def _plain(spec: Spec) -> dict[str, Any]:
    """The fields that aren't as by default, as JSON has them."""
    return {name: _plain_value(getattr(spec, name)) for name in changed(spec)}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Activation):
        functional = {"functional": True} if value.functional else {}
        return {"kind": value.name, **dict(value.parameters), **functional}
    if type(value) in LAYERS.values():
        return {"kind": type(value).__name__, **_plain(value)}
    if isinstance(value, Spec):
        return _plain(value)
    return [_plain_value(item) for item in value] if isinstance(value, tuple) else value


def _parsed(text: object) -> dict[str, Any]:
    if not isinstance(text, (str, bytes)):
        raise invalid("a network", text, "JSON text")
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except InvalidProblem:
        raise
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError, too
        raise InvalidProblem(f"a network is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise invalid("a network", data, "a JSON object")
    return data


def _no_constant(name: str) -> None:
    raise InvalidProblem(
        f"a network has {name}, which JSON doesn't know; write it in quotation marks, in small letters"
    )


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidProblem(f"{twice} is there twice in one JSON object")
    return data


def _read(cls: type[Any], data: object, where: str) -> Any:
    """The spec of class `cls`; `where` is the field that it is for."""
    if not isinstance(data, dict):
        raise invalid(where, data, "a JSON object")
    prefix = f"{where}." if where else ""
    fields = cls.__dataclass_fields__
    for name in data:
        if name not in fields:
            raise InvalidProblem(f"{prefix}{name} is unknown; known are {', '.join(fields) or 'no fields'}")
    try:
        return cls(**{name: _FIELDS.get(name, _same)(value, prefix + name) for name, value in data.items()})
    except _Located:
        raise
    except InvalidProblem as error:
        raise _Located(f"{prefix}{error}") from None


class _Located(InvalidProblem):
    """One whose message begins with the whole way to the field."""


def _same(value: object, where: str) -> object:
    return value


def _values(value: object, where: str) -> object:
    return None if value is None and where.endswith("bias") else _read(Values, value, where)


def _list(value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _located(where, value, "a list")
    return tuple(value)


def _pairs(value: object, where: str) -> tuple[Any, ...]:
    return tuple(_list(pair, f"{where}[{i}]") for i, pair in enumerate(_list(value, where)))


def _layers(value: object, where: str) -> tuple[Layer, ...]:
    if where.count(".layers") > MAX_NESTING:
        raise _Located(f"{where} is nested more than {MAX_NESTING} deep")
    return tuple(_layer(item, f"{where}[{i}]") for i, item in enumerate(_list(value, where)))


def _layer(data: object, where: str) -> Layer:
    if not isinstance(data, dict):
        raise _located(where, data, "a JSON object")
    rest = {name: value for name, value in data.items() if name != "kind"}
    kind = data.get("kind")
    if isinstance(kind, str) and kind in ACTIVATIONS:
        functional = {"functional": rest.pop("functional")} if "functional" in rest else {}
        rest = {"name": kind, "parameters": tuple(sorted(rest.items())), **functional}
        return _made(Activation, rest, where)  # type: ignore[no-any-return]
    if not isinstance(kind, str) or kind not in LAYERS or kind == "Activation":
        known = [*(name for name in LAYERS if name != "Activation"), *ACTIVATIONS]
        raise _located(f"{where}.kind", kind, f"one of {', '.join(known)}")
    return _read(LAYERS[kind], rest, where)  # type: ignore[no-any-return]


def _made(cls: type[Any], arguments: Mapping[str, Any], where: str) -> Any:
    try:
        return cls(**arguments)
    except InvalidProblem as error:
        raise _Located(f"{where}.{error}") from None


def _located(where: str, got: object, should: str) -> _Located:
    return _Located(str(invalid(where, got, should)))


_FIELDS: dict[str, Callable[[Any, str], object]] = {
    "layers": _layers,
    "weight": _values,
    "bias": _values,
    "x": _values,
    "inputs": _list,
    "frozen": _list,
    "numbers": _list,
    "put": _pairs,
}
