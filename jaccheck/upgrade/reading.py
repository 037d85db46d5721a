"""A record out of its folder: whatever is wrong with it is one line."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck.enclosure import Ball
from jaccheck.upgrade.record import FORMAT, MANIFEST, NUMBERS, Record, Recorded


def read(folder: Path) -> Record:
    """The record in `folder`.

    Raises:
        InvalidProblem: there is none, or of another format, or it is damaged.
    """
    manifest = _manifest(folder)
    numbers = _numbers(folder)
    try:
        networks = {problem["name"]: _recorded(problem, numbers[problem["name"]]) for problem in manifest["problems"]}
        versions, machine = (_strings(manifest[name]) for name in ("versions", "machine"))
    except InvalidProblem as error:
        raise _damaged(folder, str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    if not networks:
        raise _damaged(folder, "it holds no networks")
    return Record(versions, machine, networks)


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidProblem(
            f"{folder} holds no record: there is no {MANIFEST}; make one by: jaccheck record"
        ) from error
    except OSError as error:
        raise InvalidProblem(f"can't read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"{MANIFEST} is no JSON: {error}") from error
    if not isinstance(data, dict) or "format" not in data:
        raise _damaged(folder, f"{MANIFEST} has no format")
    if data["format"] != FORMAT:
        raise InvalidProblem(f"{folder} has format {data['format']!r}, but this jaccheck reads {FORMAT}")
    return data


def _numbers(folder: Path) -> dict[str, Any]:
    file = folder / NUMBERS
    try:
        with zipfile.ZipFile(file) as archive:  # torch doesn't look at the checksums
            wrong = archive.testzip()
        if wrong is not None:
            raise _damaged(folder, f"{NUMBERS} has a wrong checksum at {wrong}")
        data = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidProblem(f"can't read {file}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise _damaged(
            folder, f"{NUMBERS}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    if not isinstance(data, dict):
        raise _damaged(folder, f"{NUMBERS} holds a {type(data).__name__}")
    return data


def _recorded(problem: Mapping[str, Any], numbers: Mapping[str, Any]) -> Recorded:
    network = Network.from_json(json.dumps(problem["network"]))
    report = Report.from_json(json.dumps(problem["report"]))
    facts, enclosures = report.problem, {}
    shapes = {name: (facts.N, facts.C, *shape) for name, shape in facts.parameters.items()}
    dtype = getattr(torch, facts.dtype)
    for path, J in numbers["jacobians"].items():
        _fits(f"{problem['name']}, {path}", J, shapes, dtype)
    for path, balls in numbers["enclosures"].items():
        parts = {"centre": {}, "radius": {}}  # type: dict[str, dict[str, Tensor]]
        for name, (centre, radius) in balls.items():
            parts["centre"][name], parts["radius"][name] = centre, radius
        for what, part in parts.items():
            _fits(f"{problem['name']}, {path}, {what}", part, shapes, torch.float64)
        enclosures[path] = {name: Ball(parts["centre"][name], parts["radius"][name]) for name in shapes}
    return Recorded(network, report, dict(numbers["jacobians"]), enclosures)


def _fits(what: str, J: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> None:
    if J.keys() != shapes.keys():
        raise InvalidProblem(f"{what}: the parameters are {', '.join(J)}, but should be {', '.join(shapes)}")
    for name, j in J.items():
        if not isinstance(j, Tensor) or j.shape != shapes[name] or j.dtype != dtype:
            raise InvalidProblem(f"{what}: {name!r} isn't {dtype} of shape {list(shapes[name])}")


def _strings(data: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in data.items()}


def _damaged(folder: Path, why: str) -> InvalidProblem:
    return InvalidProblem(f"{folder} is damaged: {' '.join(why.split())}")
