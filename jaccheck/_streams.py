"""The streams of random numbers: torch's, Python's and numpy's."""

from __future__ import annotations

import ctypes
import random
import struct
import sys
from collections.abc import Callable
from functools import partial
from operator import eq
from typing import Any

import torch
from torch import Tensor

from jaccheck._setting import Setting

TWISTER = 625 * 4  # bytes of a Mersenne Twister: 624 words and its place in them


def _torch_holds(before: Tensor) -> bool:
    words = torch.int64  # four times as fast as by bytes
    return torch.equal(before.view(words), torch.get_rng_state().view(words))


def cuda_stream(device: int) -> Setting:
    """Torch's on a CUDA device."""
    return Setting(
        f"torch's random state on cuda:{device}",
        partial(torch.cuda.get_rng_state, device),
        lambda state: torch.cuda.set_rng_state(state, device),
        None,
        lambda before: torch.equal(before, torch.cuda.get_rng_state(device)),
    )


def _twister(
    name: str,
    get: Callable[[], Any],
    set_to: Callable[[Any], object],
    same: Callable[[Any, Any], bool],
    glance: Callable[[], object],
    tells_all: Callable[[Any], bool],
) -> Setting:
    """A stream whose state takes long to get and to compare: as 625 numbers, as long as a layer's backward pass.

    Args:
        glance: something of the state that is quickly got, or None.
        tells_all: of a state, whether the glance can't stay the same when anything is drawn.
    """
    noted: tuple[object, Any] = None, None  # the glance at the state that was got last, and that state

    def holds(before: tuple[object, Any]) -> bool:
        seen, state = before
        return seen is not None and tells_all(state) and seen == glance()

    def noted_or_new() -> tuple[object, Any]:
        nonlocal noted
        if not holds(noted):
            noted = glance(), get()
        return noted

    return Setting(
        name,
        noted_or_new,
        lambda before: set_to(before[1]),
        None,
        lambda before: holds(before) or same(before[1], get()),
    )


def _python_stream() -> Setting:
    """That of the module `random`'s functions."""
    generator: Any = random.random.__self__  # type: ignore[attr-defined]
    address = id(generator) + object.__basicsize__  # where CPython has the place and the words, one after the other
    *words, place = generator.getstate()[1]
    there = sys.implementation.name == "cpython" and type(generator).__basicsize__ >= object.__basicsize__ + TWISTER
    there = there and ctypes.string_at(address, TWISTER) == struct.pack("=i624I", place, *words)

    def glance() -> object:
        return (ctypes.string_at(address, TWISTER), generator.gauss_next) if there else None

    return _twister("Python's random state", random.getstate, random.setstate, eq, glance, lambda state: True)


def numpy_stream() -> Setting:
    """That of `numpy.random`'s functions."""
    from numpy import ndarray, random

    def glance() -> object:
        if not hasattr(random, "get_bit_generator"):  # before numpy 1.24
            return None
        generator = random.get_bit_generator()
        usual = type(generator) is random.MT19937
        return ctypes.string_at(generator.ctypes.state_address, TWISTER) if usual else None

    def tells_all(state: Any) -> bool:
        return bool(state["has_gauss"] == 0)  # else the next normal number is there already, and moves nothing

    def same(then: Any, now: Any) -> bool:
        if isinstance(then, dict):
            return then.keys() == now.keys() and all(same(then[key], now[key]) for key in then)
        return bool((then == now).all() if isinstance(then, ndarray) else then == now)

    get = partial(random.get_state, legacy=False)  # as a dict, whatever the generator
    return _twister("numpy's random state", get, random.set_state, same, glance, tells_all)


TORCH_STREAM = Setting("torch's random state", torch.get_rng_state, torch.set_rng_state, None, _torch_holds)
PYTHON_STREAM = _python_stream()
