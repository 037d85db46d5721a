"""Networks as JSON: what is as by default is left out, and what can't be right is refused, naming the field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ._activations import ACTIVATIONS
from ._containers import LAYERS, MAX_NESTING, Layer
from ._errors import InvalidProblem
from ._history import Hook
from ._layers import Activation
from ._values import Spec, Values, changed, invalid

FORMAT = 1
"""The version of the format that this release writes, and the newest that it reads."""


def written(spec: Spec) -> str:
    return json.dumps({"format": FORMAT, **_plain(spec)}, allow_nan=False)


def read(cls: type[Spec], text: str | bytes) -> Any:
    """The spec of class `cls` that `written` wrote; InvalidProblem, naming the field, if it didn't."""
    data = _parsed(text)
    if "format" not in data:
        raise InvalidProblem(f'this is no network, since it has no format; one begins {{"format": {FORMAT}, …}}')
    version = data.pop("format")
    if type(version) is not int or version < 1:
        raise invalid("format", version, f"an integer from 1 to {FORMAT}")
    if version > FORMAT:
        raise InvalidProblem(f"format is {version}, but this jaccheck reads formats up to {FORMAT}; use a newer one")
    return _read(cls, data, "")


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
        raise InvalidProblem(f"{twice!a} is there twice in one JSON object")
    return data


def _read(cls: type[Any], data: object, where: str) -> Any:
    """The spec of class `cls`; `where` is the field that it is for."""
    if not isinstance(data, dict):
        raise _located(where, data, "a JSON object")
    prefix = f"{where}." if where else ""
    fields = cls.__dataclass_fields__
    for name in data:
        if name not in fields:
            raise _Located(f"{prefix}{_shown(name)} is unknown; known are {', '.join(fields) or 'no fields'}")
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


def _hooks(value: object, where: str) -> tuple[Hook, ...]:
    return tuple(_read(Hook, item, f"{where}[{i}]") for i, item in enumerate(_list(value, where)))


def _layers(value: object, where: str) -> tuple[Layer, ...]:
    if where.count(".layers") + where.count(".other") > MAX_NESTING:
        raise _Located(f"{where} is nested more than {MAX_NESTING} deep")
    return tuple(_layer(item, f"{where}[{i}]") for i, item in enumerate(_list(value, where)))


def _layer(data: object, where: str) -> Layer:
    if not isinstance(data, dict):
        raise _located(where, data, "a JSON object")
    rest = {name: value for name, value in data.items() if name != "kind"}
    kind = data.get("kind")
    if isinstance(kind, str) and kind in ACTIVATIONS:
        functional = {"functional": rest.pop("functional")} if "functional" in rest else {}
        parameters = ACTIVATIONS[kind].parameters
        for name in rest:
            if name not in parameters:
                has = ", ".join(parameters) or "no parameters"
                raise _Located(f"{where}.{_shown(name)} is unknown; {kind} has {has}")
        rest = {"name": kind, "parameters": tuple(sorted(rest.items())), **functional}
        return _made(Activation, rest, where)  # type: ignore[no-any-return]
    if not isinstance(kind, str) or kind not in LAYERS or kind == "Activation":
        known = [*(name for name in LAYERS if name != "Activation"), *ACTIVATIONS]
        raise _located(f"{where}.kind", kind, f"one of {', '.join(known)}")
    return _read(LAYERS[kind], rest, where)  # type: ignore[no-any-return]


def _shown(name: str) -> str:
    return name if name.isidentifier() else ascii(name)


def _made(cls: type[Any], arguments: Mapping[str, Any], where: str) -> Any:
    try:
        return cls(**arguments)
    except InvalidProblem as error:
        raise _Located(f"{where}.{error}") from None


def _located(where: str, got: object, should: str) -> _Located:
    return _Located(str(invalid(where, got, should)))


_FIELDS: dict[str, Callable[[Any, str], object]] = {
    "layers": _layers,
    "other": _layers,
    "hooks": _hooks,
    "other_mode": _list,
    "weight": _values,
    "bias": _values,
    "x": _values,
    "inputs": _list,
    "frozen": _list,
    "numbers": _list,
    "put": _pairs,
    "steps": _list,
}
