"""The source files by module, and what each one imports: read, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
BESIDE = ("_jaccheck_program", "_jaccheck_pytest", "_jaccheck_benchmark_xdist")
FOLDERS = {"jaccheck": ROOT / "jaccheck", "jaccheck.strategies": ROOT / "strategies"}


@cache
def modules() -> Mapping[str, Path]:
    """The modules of the package by name; an ``__init__.py`` has its package's."""
    found = {module: ROOT / f"{module}.py" for module in BESIDE}
    for package, folder in FOLDERS.items():
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = file
    return found


def imports(source: str, package: str) -> set[str]:
    """The modules that `source`, of a module in `package`, imports at any time; not what type checkers alone see."""
    return set(_imported(ast.parse(source), package.split(".")))


def imports_of(module: str) -> set[str]:
    """The modules that one of `modules` imports."""
    file = modules()[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return imports(file.read_text(encoding="utf-8"), package)


def _imported(tree: ast.AST, package: list[str]) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join((*base, *([node.module] if node.module else [])))
            for alias in node.names:  # a submodule, or a name in a module
                submodule = f"{source}.{alias.name}"
                yield submodule if submodule in modules() else source
        else:
            yield from _imported(node, package)
