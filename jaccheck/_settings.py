"""What is global: torch's settings, the processor's, the streams of random numbers, warnings filters, BackPACK's."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import torch

from jaccheck._process import PROCESS, numpy_settings
from jaccheck._setting import Setting, attribute
from jaccheck._streams import PYTHON_STREAM, TORCH_STREAM, cuda_stream, numpy_stream
from jaccheck._torch_settings import SETTINGS


def settings() -> tuple[Setting, ...]:
    """Everything to look at, as far as it is there: numpy's generator, CUDA and BackPACK only if they are in use."""
    cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return _settings(bool(sys.modules.get("numpy.random")), bool(sys.modules.get("backpack")), cuda)


@cache
def _settings(numpy: bool, backpack: bool, cuda: bool) -> tuple[Setting, ...]:
    found = [*SETTINGS, *_PROCESSOR, TORCH_STREAM, PYTHON_STREAM, *PROCESS]
    if numpy:
        found += [numpy_stream(), *numpy_settings()]
    if cuda:
        found += [cuda_stream(device) for device in range(torch.cuda.device_count())]
    if backpack:
        found += _backpack()
    return tuple(found)


def _flushes_subnormals() -> bool:
    return _SUBNORMAL * 1 == 0  # torch has no getter, but sets a flag of the processor, which Python's floats obey


_SUBNORMAL = 2.0**-1074


def _rounding() -> str:
    """The direction in which sums are rounded, which C sets for all of the process."""
    up, down = _ONE + _LITTLE > 1, _ONE - _LITTLE < 1
    return {(False, False): "to nearest", (True, False): "up"}.get((up, down), "down")


_ONE, _LITTLE = 1.0, 2.0**-60  # no constants, which Python would add up beforehand


def _set_rounding(direction: str) -> None:
    if direction == "to nearest":
        ctypes.CDLL(None).fesetround(0)


_PROCESSOR = (
    Setting("torch's flushing of subnormals", _flushes_subnormals, torch.set_flush_denormal),
    Setting("the direction of rounding", _rounding, _set_rounding),
)


def _backpack() -> list[Setting]:
    from backpack import disable
    from backpack.context import CTX
    from backpack.utils.hooks import no_op

    fresh = {"active_exts": (), "debug": False, "extension_hook": no_op, "retain_graph": False}
    return [
        *(attribute(CTX, name, f"backpack.context.CTX.{name}", value) for name, value in fresh.items()),
        attribute(disable, "store_io", "backpack.disable.store_io", True),
        Setting(
            "backpack.context.CTX.hook_handles",
            lambda: list(CTX.hook_handles),
            lambda handles: setattr(CTX, "hook_handles", list(handles)),
            lambda handles: f"{len(handles)} handles",
            fresh=[],
        ),
    ]
