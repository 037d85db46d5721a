"""Torch's random numbers from a given beginning on, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_under_way: int | None = None  # for all threads: their random numbers come from the same generators


def seed_under_way() -> int | None:
    """That at which random numbers have begun, where one is inside of `seeded`."""
    return _under_way


def generators(device: torch.device) -> list[torch.Generator]:
    """Those from which a computation on `device` draws if it isn't told otherwise."""
    found = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    return found


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Inside, random numbers begin as `seed` says, if it isn't None; afterwards they go on as if nothing had been."""
    global _under_way
    if seed is None:
        yield
        return
    used = generators(device)
    states = [generator.get_state() for generator in used]
    before, _under_way = _under_way, seed
    try:
        for generator in used:
            generator.manual_seed(seed)
        yield
    finally:
        _under_way = before
        for generator, state in zip(used, states, strict=True):
            generator.set_state(state)
