"""What takes time to make of a problem, and several paths ask for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from jaccheck._problem import Problem

T = TypeVar("T")


def once(make: Callable[[Problem], T]) -> Callable[[Problem], T]:
    """`make`, whose result is kept as long as the problem is."""
    kept: WeakKeyDictionary[Problem, T] = WeakKeyDictionary()

    @wraps(make)
    def made(problem: Problem) -> T:
        if problem not in kept:
            kept[problem] = make(problem)
        return kept[problem]

    return made
