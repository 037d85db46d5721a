"""What --json means: JSON on stdout and nothing else there, whatever the user's code prints."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

_said: list[str] = []


def put(data: object) -> None:
    """Say `data`, which is all that the command has to say."""
    _said.append(json.dumps(data, allow_nan=False))


@contextmanager
def alone() -> Iterator[None]:
    """What is printed inside goes to stderr; what was `put` follows on stdout."""
    _said.clear()
    try:
        with _diverted(sys.stdout), redirect_stdout(sys.stderr):
            yield
    finally:
        for text in _said:
            print(text)


@contextmanager
def _diverted(stdout: Any) -> Iterator[None]:
    """What doesn't ask Python's `sys.stdout` goes to stderr, too, where that is the process's own."""
    if _number(stdout) != 1 or _number(sys.stderr) is None:
        yield
        return
    stdout.flush()
    kept = os.dup(1)
    os.dup2(sys.stderr.fileno(), 1)
    try:
        yield
    finally:
        stdout.flush()
        with suppress(OSError, TypeError, AttributeError):  # no C library by that name
            ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)


def _number(stream: Any) -> int | None:
    """The file descriptor, if it has one."""
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None
