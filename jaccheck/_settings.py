"""What is global: torch's settings, the streams of random numbers, warnings filters, BackPACK's context."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torch.nn.modules.module as module_hooks
import torch.utils._device
from torch import Tensor

from jaccheck._capabilities import autocasts, set_autocast

UNKNOWN = object()


@dataclass(frozen=True)
class Setting:
    """One thing that is global: how to read it, set it, compare it and say it."""

    name: str
    get: Callable[[], Any]
    set: Callable[[Any], object]
    shown: Callable[[Any], str] | None = repr  # None: it only says that it has changed
    same: Callable[[Any], bool] | None = None  # whether what was got before still holds, where `==` can't say
    fresh: Any = UNKNOWN  # what an import sets it to, for what comes with a package

    def holds(self, before: Any) -> bool:
        """Whether it is as it was when `before` was got."""
        return self.same(before) if self.same else bool(self.get() == before)


def settings() -> tuple[Setting, ...]:
    """Everything to look at, as far as it is there: numpy's generator, CUDA and BackPACK only if they are in use."""
    cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return _settings(bool(sys.modules.get("numpy.random")), bool(sys.modules.get("backpack")), cuda)


@cache
def _settings(numpy: bool, backpack: bool, cuda: bool) -> tuple[Setting, ...]:
    found = list(_ALWAYS)
    if numpy:
        found.append(_numpy())
    if cuda:
        found += [_cuda_random(device) for device in range(torch.cuda.device_count())]
    if backpack:
        found += _backpack()
    return tuple(found)


def _attribute(owner: Any, attribute: str, name: str, fresh: Any = UNKNOWN) -> Setting:
    return Setting(name, *_told(partial(getattr, owner, attribute), partial(setattr, owner, attribute)), fresh=fresh)


class _Untold(str):
    """What torch says instead of a setting's value, where its old and its new name have both been used."""


def _told(get: Callable[[], Any], set: Callable[[Any], object]) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """How to read and write a setting of torch that doesn't always tell its value: then it is left alone."""

    def read() -> Any:
        try:
            return get()
        except RuntimeError as error:
            return _Untold(error)

    def write(value: Any) -> None:
        if not isinstance(value, _Untold):
            set(value)

    return read, write


def _attributes(owner: Any, path: str, names: Iterable[str]) -> Iterator[Setting]:
    """Those of `names` that this torch has."""
    for name in names:
        setting = _attribute(owner, name, f"{path}.{name}")
        try:
            setting.get()
        except AttributeError:
            continue
        yield setting


def _flushes_subnormals() -> bool:
    return _SUBNORMAL * 1 == 0  # torch has no getter, but sets a flag of the processor, which Python's floats obey


_SUBNORMAL = 2.0**-1074


def _set_anomaly(state: tuple[bool, bool]) -> None:
    torch.autograd.set_detect_anomaly(*state)


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _set_inference_mode(enabled: bool) -> None:
    guard = torch.inference_mode(enabled)  # a mode that somebody has left behind can be covered, not ended
    guard.__enter__()
    _GUARDS.append(guard)


_GUARDS: list[torch.inference_mode] = []


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    with warnings.catch_warnings():  # makes Python forget what it has decided by the old ones
        pass


def _shown_filters(filters: list[Any]) -> str:
    return f"{len(filters)} filters, the first {filters[0] if filters else None}"


def _global_hooks() -> list[dict[Any, Any]]:
    return [dict(hooks) for hooks in _GLOBAL_HOOKS]


def _set_global_hooks(hooks: list[dict[Any, Any]]) -> None:
    for now, saved in zip(_GLOBAL_HOOKS, hooks, strict=True):
        now.clear()
        now.update(saved)


_GLOBAL_HOOKS = [
    value for name, value in vars(module_hooks).items() if name.startswith("_global_") and isinstance(value, dict)
]


def _numpy() -> Setting:
    import numpy as np

    def same(before: Any) -> bool:
        now: Any = np.random.get_state()
        return bool(before[0] == now[0] and before[2:] == now[2:] and (before[1] == now[1]).all())

    return Setting("numpy's random state", np.random.get_state, np.random.set_state, None, same)


def _torch_random_holds(before: Tensor) -> bool:
    words = torch.int64  # four times as fast as by bytes
    return torch.equal(before.view(words), torch.get_rng_state().view(words))


def _cuda_random(device: int) -> Setting:
    return Setting(
        f"torch's random state on cuda:{device}",
        partial(torch.cuda.get_rng_state, device),
        lambda state: torch.cuda.set_rng_state(state, device),
        None,
        lambda before: torch.equal(before, torch.cuda.get_rng_state(device)),
    )


def _backpack() -> list[Setting]:
    from backpack import disable
    from backpack.context import CTX
    from backpack.utils.hooks import no_op

    fresh = {"active_exts": (), "debug": False, "extension_hook": no_op, "retain_graph": False}
    return [
        *(_attribute(CTX, name, f"backpack.context.CTX.{name}", value) for name, value in fresh.items()),
        _attribute(disable, "store_io", "backpack.disable.store_io", True),
        Setting(
            "backpack.context.CTX.hook_handles",
            lambda: list(CTX.hook_handles),
            lambda handles: setattr(CTX, "hook_handles", list(handles)),
            lambda handles: f"{len(handles)} handles",
            fresh=[],
        ),
    ]


_ALWAYS = (
    Setting("torch.is_inference_mode_enabled()", torch.is_inference_mode_enabled, _set_inference_mode),
    Setting("torch.is_grad_enabled()", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("torch.get_default_dtype()", torch.get_default_dtype, torch.set_default_dtype),
    Setting(
        "torch's default device",
        lambda: getattr(torch.utils._device, "CURRENT_DEVICE", None),
        torch.set_default_device,
    ),
    Setting("torch.get_num_threads()", torch.get_num_threads, torch.set_num_threads),
    Setting(
        "torch.are_deterministic_algorithms_enabled(), and whether they only warn",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _set_deterministic,
    ),
    Setting(
        "torch.is_anomaly_enabled(), and whether for NaN",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        _set_anomaly,
    ),
    Setting("torch's autocast on cpu", partial(autocasts, "cpu"), partial(set_autocast, "cpu")),
    Setting("torch's autocast on cuda", partial(autocasts, "cuda"), partial(set_autocast, "cuda")),
    Setting("torch's flushing of subnormals", _flushes_subnormals, torch.set_flush_denormal),
    Setting(
        "torch.get_float32_matmul_precision()",
        *_told(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    ),
    *_attributes(
        torch.backends.cuda.matmul,
        "torch.backends.cuda.matmul",
        (
            "allow_tf32",
            "allow_fp16_reduced_precision_reduction",
            "allow_bf16_reduced_precision_reduction",
            "allow_fp16_accumulation",
            "fp32_precision",  # after the names that set it, too
        ),
    ),
    *_attributes(torch.backends.cudnn, "torch.backends.cudnn", ("enabled", "benchmark", "deterministic", "allow_tf32")),
    *_attributes(torch.backends, "torch.backends", ("fp32_precision",)),
    *(
        _attributes(torch.backends.mkldnn.matmul, "torch.backends.mkldnn.matmul", ("fp32_precision",))
        if hasattr(torch.backends.mkldnn, "matmul")
        else ()
    ),
    Setting("torch's hooks on all modules", _global_hooks, _set_global_hooks, shown=None),
    Setting("warnings.filters", lambda: list(warnings.filters), _set_filters, shown=_shown_filters),
    _attribute(warnings, "showwarning", "warnings.showwarning"),
    Setting("torch's random state", torch.get_rng_state, torch.set_rng_state, None, _torch_random_holds),
    Setting("Python's random state", random.getstate, random.setstate, shown=None),
)
