"""A script's parts put together: what it is about, imports, model and input, the path, what is wrong."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from textwrap import fill

import torch
from torch import Tensor, nn

from jaccheck.reproducer._models import input_lines, written
from jaccheck.reproducer._tensors import wrapped

HEAD = '''"""{title}

{versions}
Exit status 1: it is still so. 0: it is gone.
"""
'''
TAKEN = (
    ("collections", "OrderedDict"),
    ("math", "inf"),
    ("math", "isfinite"),
    ("math", "nan"),
    ("torch", "nn"),
)
"""What is imported where its name occurs."""
MODULES = {"copy", "itertools", "numpy", "pickle", "random", "sys", "threading", "warnings"}


def script(title: str, versions: str, model: nn.Module, x: Tensor, snippet: str, shown: Iterable[str]) -> str:
    """A Python script that makes `model` and `x`, and ends with the lines `shown`.

    Args:
        snippet: defines what these lines call, imports included.
    Raises:
        NoReproducer: the model or the input can't be written down.
    """
    defaults = [] if x.dtype == torch.float32 else [("dtype", str(x.dtype))]
    defaults += [] if x.device.type == "cpu" else [("device", repr(str(x.device)))]
    options = "".join(f", {name}={name}" for name, _ in defaults)
    classes, lines = written(model, options)
    lines = [f"{name} = {value}" for name, value in defaults] + lines + input_lines(x, options)
    imports, defined = _apart(snippet)
    body = "\n".join([*map(wrapped, lines), "", *shown])
    blocks = [*classes, *([defined] if defined else []), body]
    names = {node.id for node in ast.walk(ast.parse("\n".join(blocks))) if isinstance(node, ast.Name)}
    for module, name in TAKEN:
        if name in names:
            imports.setdefault(module, set()).add(name)
    for module in MODULES & names:
        imports.setdefault(module, set())
    title = fill(title, 110)
    return "\n\n\n".join([f"{HEAD.format(title=title, versions=versions)}\n{_imported(imports)}", *blocks]) + "\n"


def _apart(snippet: str) -> tuple[dict[str, set[str]], str]:
    """The imports of the snippet by module, each with the names taken from it, and the rest as it stands."""
    imports: dict[str, set[str]] = {}
    rest = snippet.splitlines()
    for node in ast.parse(snippet).body:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module and node.module != "__future__":
            imports.setdefault(node.module, set()).update(_alias(name) for name in node.names)
        elif isinstance(node, ast.Import):
            for name in node.names:
                imports.setdefault(_alias(name), set())
        else:
            continue
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            rest[number] = ""
    return imports, "\n".join(rest).strip("\n")


def _alias(name: ast.alias) -> str:
    return name.name if name.asname is None else f"{name.name} as {name.asname}"


def _imported(imports: dict[str, set[str]]) -> str:
    """Python's own first, torch and others behind them."""
    imports = {"torch": set(), **imports}
    groups: tuple[list[str], list[str]] = ([], [])
    for module in sorted(imports):
        group = groups[module.split(".")[0].split(" ")[0] not in sys.stdlib_module_names]
        if not imports[module] or module == "torch":
            group.append(f"import {module}")
        if imports[module]:
            group.append(f"from {module} import {', '.join(sorted(imports[module]))}")
    plain = [sorted(group, key=lambda line: (not line.startswith("import"), line)) for group in groups]
    return "\n\n".join("\n".join(group) for group in plain if group)
