"""Left to chance."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from math import inf

import torch
from torch import Tensor, nn

from jaccheck.selftest.wrong_paths import Compute, Jacobian, made, right

Change = Callable[[Jacobian], Jacobian]


def _noisy() -> Compute:
    numbers = random.Random(0)
    return lambda model, x: {name: j * (1 + numbers.random()) for name, j in right(model, x).items()}


def _last_place() -> Compute:
    numbers = random.Random(0)

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        side = numbers.choice((-inf, inf))
        return {name: j.nextafter(torch.full_like(j, side)) for name, j in right(model, x).items()}

    return compute


def _now_and_then(odds: float) -> Callable[[], Compute]:
    def make() -> Compute:
        numbers = random.Random(0)
        return lambda model, x: {name: -j if numbers.random() < odds else j for name, j in right(model, x).items()}

    return make


def _every(period: int) -> Callable[[], Compute]:
    def make() -> Compute:
        calls = count(1)

        def compute(model: nn.Module, x: Tensor) -> Jacobian:
            wrong = next(calls) % period == 0
            return {name: 2 * j if wrong else j for name, j in right(model, x).items()}

        return compute

    return make


def _one_entry() -> Compute:
    numbers = random.Random(0)

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        name = numbers.choice(list(J))
        if J[name].numel():
            J[name] = J[name].clone(memory_format=torch.contiguous_format)
            J[name].view(-1)[numbers.randrange(J[name].numel())] *= 1.5
        return J

    return compute


def _by_generator(model: nn.Module, x: Tensor) -> Jacobian:
    """It draws from torch's generator, and puts that back."""
    state = torch.get_rng_state()
    mask = torch.rand(()) < 0.5
    torch.set_rng_state(state)
    return {name: j * 1.5 if mask else j for name, j in right(model, x).items()}


def _by_the_clock(model: nn.Module, x: Tensor) -> Jacobian:
    late = time.perf_counter_ns() // 1000 % 2
    return {name: j * 1.5 if late else j for name, j in right(model, x).items()}


def _uninitialized(model: nn.Module, x: Tensor) -> Jacobian:
    """The first sample's rows are never written: they are what stood in memory."""
    J = right(model, x)
    return {
        name: torch.cat((torch.empty_like(j[:1]).random_(-3, 4) if len(j) > 5 else j[:1], j[1:]))
        for name, j in J.items()
    }


FAULTS = [
    made("noise", "another factor in each call", _noisy),
    made("noise_in_the_last_place", "the last place is left to chance", _last_place),
    made("sign_left_to_chance", "each second parameter has the other sign, now and then", _now_and_then(0.5)),
    made("sign_left_to_chance_seldom", "each tenth parameter has the other sign", _now_and_then(0.1)),
    made("every_third_call", "each third call is wrong", _every(3)),
    made("every_seventh_call", "each seventh call is wrong", _every(7)),
    made("every_fiftieth_call", "each fiftieth call is wrong", _every(50)),
    made("one_entry_left_to_chance", "some entry is wrong, another one in each call", _one_entry),
    made("by_torchs_generator", "it depends on the state of torch's generator", lambda: _by_generator),
    made("by_the_clock", "it depends on the time", lambda: _by_the_clock),
    made("uninitialized_memory", "rows that nobody has written", lambda: _uninitialized),
]
