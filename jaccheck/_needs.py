"""Packages that may be missing: what needs them, and how to install them, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

INSTALLED_BY: Mapping[str, str] = MappingProxyType(
    {
        "backpack": "backpack-for-pytorch",
        "curvlinops": "'jaccheck[peers]'",
        "hypothesis": "hypothesis",
        "jinja2": "'jaccheck[report]'",
        "matplotlib": "'jaccheck[plot]'",
        "numpy": "numpy",
        "opacus": "'jaccheck[peers]'",
        "plotly": "'jaccheck[report]'",
        "rich": "rich",
        "typer": "typer",
    }
)
"""By the name under which it is imported: what to give to ``pip install``."""


class MissingPackage(ImportError):
    """Something needs a package that is not installed; the message says what, and how to install it."""


def missing(error: ModuleNotFoundError) -> str | None:
    """What to do about the module that isn't there; None if it is none of `INSTALLED_BY`."""
    package = (error.name or "").partition(".")[0]
    if package not in INSTALLED_BY:
        return None
    return f"{package}, which is not installed: pip install {INSTALLED_BY[package]}"


@contextmanager
def needs(what: str) -> Iterator[None]:
    """Say of a package that is not there that `what` needs it.

    Raises:
        MissingPackage: it is one of `INSTALLED_BY`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = missing(error)
        if package is None:
            raise
        raise MissingPackage(f"{what} needs {package}") from error
