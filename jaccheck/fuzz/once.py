"""Each warning once: Python forgets which it has shown each time that its filters are put back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def warned_once() -> Iterator[None]:
    """In here a warning is shown the first time that it comes from its line; who collects warnings gets all of them."""
    show = warnings.showwarning
    shown: set[tuple[str, type[Warning], str, int]] = set()

    def once(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *to: Any, **named: Any
    ) -> None:
        key = str(message), category, filename, lineno
        if key not in shown:
            shown.add(key)
            show(message, category, filename, lineno, *to, **named)

    warnings.showwarning = once
    try:
        yield
    finally:
        warnings.showwarning = show
