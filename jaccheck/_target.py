"""What the command line calls a target: a file or a function that gives a model and an input."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network

FORMS = "network.json, file.py:function or module:function"
_loaded: dict[tuple[Path, int], ModuleType] = {}
"""By file and the time when it was written."""


def problem_of(target: str) -> tuple[nn.Module, Tensor]:
    """The model and the input that `target` stands for.

    Args:
        target: ``network.json``, which holds a network; or ``file.py:function`` or ``module:function``, where the
            function takes no argument and returns (model, x).
    Raises:
        InvalidProblem: it can't be had; the message says why and what to do.
    """
    source, colon, function = target.rpartition(":")
    if not colon or os.path.isfile(target):  # False where no file can have the name; Path raises there
        return network_of(target).build()
    return _called(source, function)


def network_of(file: str) -> Network:
    """The network in the JSON file."""
    if not file.endswith(".json") and not (file and os.path.exists(file)):
        raise InvalidProblem(f"a target should be {FORMS}, but is {file!r}")
    if file.endswith(".py"):
        raise InvalidProblem(f"{file} needs the name of a function that returns (model, x): {file}:function")
    text = text_of(file)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and "network" in data and "layers" not in data:
        raise InvalidProblem(f"{file} is a saved failure; use: jaccheck replay {file}")
    try:
        return Network.from_json(text)
    except InvalidProblem as error:
        raise InvalidProblem(f"{file}: {error}") from error


def text_of(file: str) -> str:
    """What a text file holds."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidProblem(f"can't read {file}: it is no UTF-8 text") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidProblem(f"can't read {file}: {reason}") from error


def module_of(source: str, *, target: bool = False) -> ModuleType:
    """The module ``file.py`` or ``package.module``, found from the current folder as ``python -m`` finds it.

    Either is run once, a file until it is edited: what it registers would else be there twice.

    Args:
        source: the file's or the module's name.
        target: it is a part of a target, and else what ``--load`` names.
    Raises:
        InvalidProblem: it can't be imported.
    """
    if source.endswith(".py"):
        text_of(source)
        file = Path(source).resolve()
        version = (file, file.stat().st_mtime_ns)
        if version in _loaded:
            return _loaded[version]
        name = file.stem if file.stem.isidentifier() else "jaccheck_target"
        spec = importlib.util.spec_from_file_location(f"_jaccheck_{name}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses and pickle look for it there
        _on_search_path(str(file.parent))
        with _blamed(source):
            spec.loader.exec_module(module)
        _loaded[version] = module
        return module
    if not source or not all(part.isidentifier() for part in source.split(".")):
        should = f"a target should be {FORMS}" if target else "--load takes file.py or module"
        raise InvalidProblem(f"{source!r} is no module; {should}")
    _on_search_path(str(Path.cwd()))
    with _blamed(source):
        try:
            module = importlib.import_module(source)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                raise
            file_form = "file.py:function" if target else "file.py"
            raise InvalidProblem(f"there is no module {error.name!r} here; for a file write {file_form}") from error
    if getattr(module, "__file__", None) is None and hasattr(module, "__path__"):
        raise InvalidProblem(f"{source!r} is a folder without __init__.py, and no module; a file is named file.py")
    return module


def _called(source: str, function: str) -> tuple[nn.Module, Tensor]:
    module = module_of(source, target=True)
    found: Any = module
    for name in function.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, [n for n in dir(found) if not n.startswith("_")], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidProblem(f"{source} has no function {function!r}{hint}")
        found = getattr(found, name)
    if not callable(found):
        raise InvalidProblem(f"{source}:{function} is {_a(found)}, but should be a function")
    with _blamed(f"{source}:{function}"):
        result = found()
    if inspect.iscoroutine(result):
        result.close()  # or Python warns that nobody has awaited it
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        got = f"{len(result)} values" if isinstance(result, (tuple, list)) else _a(result)
        raise InvalidProblem(f"{source}:{function} returns {got}, but should return (model, x)")
    model, x = result
    if not isinstance(model, nn.Module) or not isinstance(x, Tensor):
        raise InvalidProblem(
            f"{source}:{function} returns ({type(model).__name__}, {type(x).__name__}), "
            "but should return (model, x), a torch.nn.Module and a torch.Tensor"
        )
    return model, x


def _a(thing: object) -> str:
    """``a float`` or ``an int``"""
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


@contextmanager
def _blamed(source: str) -> Iterator[None]:
    """What the user's code raises, in one line."""
    try:
        yield
    except InvalidProblem:
        raise
    except (Exception, SystemExit) as error:
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__ and f.filename[0] != "<"
        ]
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        said = " ".join(str(error).split())
        raise InvalidProblem(f"{source} raises {type(error).__name__}: {said}{where}") from error


def _on_search_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
