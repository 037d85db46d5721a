"""Faults in the libraries, put in from outside and taken out again: attributes replaced, kernels overridden."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from jaccheck.selftest.fault import Fault

Wrap = Callable[[Any], Any]
"""From what was there to what is there instead."""

FIRST_ORDER = ("autograd", "batch_grad")
"""The paths of the example that torch's own backward pass carries."""
SECOND_ORDER = ("sqrt_ggn_exact",)
ALL = (*FIRST_ORDER, *SECOND_ORDER)


@contextmanager
def wrapped(*places: tuple[Any, str, Wrap]) -> Iterator[None]:
    """Replace attributes by what `Wrap` makes of them."""
    with ExitStack() as stack:
        for owner, attribute, wrap in places:
            stack.enter_context(patch.object(owner, attribute, wrap(getattr(owner, attribute))))
        yield


@contextmanager
def kernels(**overrides: Callable[..., Any]) -> Iterator[None]:
    """Override aten's kernels on the CPU: what torch's backward pass and everybody else then runs."""
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a kernel is overridden
            for name, kernel in overrides.items():
                library.impl(name, kernel, "CPU")  # type: ignore[no-untyped-call]
        yield
    finally:
        library._destroy()  # type: ignore[no-untyped-call]


def replaced(name: str, words: str, accused: tuple[str, ...], *places: tuple[Any, str, Wrap]) -> Fault:
    """Attributes of the libraries' modules and classes are other ones."""
    return Fault(name, words, lambda: wrapped(*places), accused)


def overridden(name: str, words: str, accused: tuple[str, ...], **overrides: Callable[..., Any]) -> Fault:
    """Kernels of torch are other ones."""

    def inject() -> AbstractContextManager[None]:
        return kernels(**overrides)

    return Fault(name, words, inject, accused)
