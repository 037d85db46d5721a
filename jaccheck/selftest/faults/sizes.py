"""Wrong for one size alone, or from one size on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.wrong_paths import At, altered


def _weight(at: At) -> bool:
    return len(at.shape) == 2


def _of(what: str, short: str, size: int, get: Callable[[At], int]) -> Fault:
    return altered(
        f"{short}_is_{size}",
        f"twice the right value for {what} {size}",
        lambda j, at: 2 * j,
        lambda at: get(at) == size,
    )


def _from(what: str, short: str, size: int, get: Callable[[At], int]) -> Fault:
    return altered(
        f"{short}_from_{size}_on",
        f"twice the right value for {what} of {size} and more",
        lambda j, at: 2 * j,
        lambda at: get(at) >= size,
    )


def _fan_in(at: At) -> int:
    return at.shape[-1] if _weight(at) else 0


def _fan_out(at: At) -> int:
    return at.shape[0] if _weight(at) else 0


def _tail(size: int) -> Fault:
    """Of blocks of `size` inputs, the rest is left out."""

    def alter(j: Tensor, at: At) -> Tensor:
        rest = at.shape[-1] % size
        return torch.cat((j[..., :-rest], 0 * j[..., -rest:]), -1)

    return altered(
        f"rest_of_blocks_of_{size}",
        f"of blocks of {size} inputs, the rest is 0",
        alter,
        lambda at: _fan_in(at) > size and _fan_in(at) % size > 0,
    )


def _pair(n: int, c: int) -> Fault:
    return altered(
        f"n_is_{n}_and_c_is_{c}",
        f"the other sign for N = {n} and C = {c}",
        lambda j, at: -j,
        lambda at: (n, c) == (at.N, at.C),
    )


def _layers(at: At) -> int:
    return sum(len(j.shape) == 4 for j in at.J.values())


FAULTS = [
    *(
        _of("N =", "n", size, lambda at: at.N)
        for size in (1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33, 64, 65, 128, 129, 256, 257)
    ),
    *(_of("C =", "c", size, lambda at: at.C) for size in (1, 2, 3, 6, 10, 16, 17, 33, 64, 65, 128, 129, 257)),
    *(_of("a fan-in of", "fan_in", size, _fan_in) for size in (1, 3, 7, 16, 17, 32, 33, 64, 65, 128, 129, 256, 257)),
    *(_of("a fan-out of", "fan_out", size, _fan_out) for size in (1, 5, 16, 17, 33, 64, 65, 128, 129, 256, 257)),
    *(_from("N", "n", size, lambda at: at.N) for size in (9, 17, 50, 100, 200)),
    *(_from("C", "c", size, lambda at: at.C) for size in (9, 17, 50, 100)),
    *(_from("a width", "width", size, lambda at: max(at.shape)) for size in (20, 50, 100, 200)),
    *(_of("layers:", "layers", size, _layers) for size in (1, 4, 6)),
    *(_tail(size) for size in (4, 8, 16, 32)),
    *(_pair(n, c) for n, c in ((1, 1), (2, 3), (3, 2), (4, 4), (5, 3))),
    altered(
        "n_odd",
        "twice the right value for an odd N from 5 on",
        lambda j, at: 2 * j,
        lambda at: at.N % 2 == 1 and at.N > 3,
    ),
    altered(
        "n_from_33_and_c_from_9_on",
        "twice the right value for N from 33 and C from 9 on",
        lambda j, at: 2 * j,
        lambda at: at.N > 32 and at.C > 8,
    ),
    altered(
        "from_1100_rows_on",
        "twice the right value where N C is over 1,100",
        lambda j, at: 2 * j,
        lambda at: at.N * at.C > 1100,
    ),
    altered(
        "n_over_512",
        "zero from sample 512 on",
        lambda j, at: torch.cat((j[:512], torch.zeros_like(j[512:]))),
        lambda at: at.N > 512,
    ),
    altered(
        "over_a_million_entries",
        "twice the right value where there are over 2^20 entries",
        lambda j, at: 2 * j,
        lambda at: sum(j.numel() for j in at.J.values()) > 2**20,
    ),
    altered(
        "n_equal_to_fan_in",
        "transposed where N equals the fan-in",
        lambda j, at: j.flip(0),
        lambda at: at.N == _fan_in(at) > 1,
    ),
    altered(
        "fan_in_equal_to_c",
        "transposed where C equals the fan-in",
        lambda j, at: j.flip(1),
        lambda at: at.C == _fan_in(at) > 1,
    ),
]
