"""Where and how precisely: dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from jaccheck._activations import ACTIVATIONS
from jaccheck._capabilities import differentiates
from jaccheck._values import DTYPES, FORMATS


def dtypes(names: Sequence[str] = DTYPES) -> SearchStrategy[str]:
    """Names of dtypes; they shrink to the first, by default float64.

    Raises:
        InvalidArgument: there is none, or one that isn't float64, float32, float16 or bfloat16.
    """
    return st.sampled_from(chosen("dtypes", names, DTYPES))


def devices(names: Sequence[str] | None = None) -> SearchStrategy[str]:
    """Names of devices, by default the CPU and each CUDA device there is; they shrink to the first, the CPU.

    Raises:
        InvalidArgument: there is none, or one that isn't here.
    """
    return st.sampled_from(_places(names))


def targets(dtypes: Sequence[str], devices: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """Each dtype on each device, the first with the first; InvalidArgument if a name is unknown, or there is none."""
    return tuple(product(chosen("dtypes", dtypes, DTYPES), _places(devices)))


def _places(names: Sequence[str] | None) -> tuple[str, ...]:
    return chosen("devices", present() if names is None else names, present())


def present() -> tuple[str, ...]:
    """The devices of this machine."""
    return ("cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count())))


def chosen(argument: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """`names`, each once; InvalidArgument if there are none, or unknown ones."""
    if isinstance(names, str):
        raise InvalidArgument(f"{argument}={names!r} is one name; write ({names!r},)")
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InvalidArgument(f"{argument}={names!r} should be some of {', '.join(known)}")
    return tuple(dict.fromkeys(names))


@cache
def computes(name: str, dtype: str, device: str) -> bool:
    """Whether this torch has the activation, forward and backward, in `dtype` on `device`: tried, not assumed."""
    return differentiates(ACTIVATIONS[name].module(), FORMATS[dtype].dtype, device)
