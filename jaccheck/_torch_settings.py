"""torch's own settings, as far as this release has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import eq, itemgetter
from types import BuiltinFunctionType
from typing import Any

import torch
import torch.nn.modules.module as module_hooks
import torch.utils._device
import torch.utils.deterministic
from torch.autograd import forward_ad

from jaccheck._capabilities import TELLS_OF_HOOKS_ON_SAVED_TENSORS, autocasts, set_autocast
from jaccheck._setting import Setting, attribute, attributes, guarded


def _set_sparse_checks(enabled: bool) -> None:
    (_SPARSE_CHECKS.enable if enabled else _SPARSE_CHECKS.disable)()  # type: ignore[no-untyped-call]


_SPARSE_CHECKS = torch.sparse.check_sparse_tensor_invariants


def _set_anomaly(state: tuple[bool, bool]) -> None:
    torch.autograd.set_detect_anomaly(*state)


def _set_deterministic(state: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(state[0], warn_only=state[1])


def _set_inference_mode(enabled: bool) -> None:
    guard = torch.inference_mode(enabled)  # a mode that somebody has left behind can be covered, not ended
    guard.__enter__()
    _GUARDS.append(guard)


_GUARDS: list[torch.inference_mode] = []


def _autocast_dtype(device: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    if hasattr(torch, "get_autocast_dtype"):
        return partial(torch.get_autocast_dtype, device), partial(torch.set_autocast_dtype, device)
    if device == "cpu":  # before torch 2.4
        return torch.get_autocast_cpu_dtype, torch.set_autocast_cpu_dtype
    return torch.get_autocast_gpu_dtype, torch.set_autocast_gpu_dtype


def _pop_function_modes(count: int) -> None:
    while torch._C._len_torch_function_stack() > count:
        torch._C._pop_torch_function_stack()


def _pop_dispatch_modes(count: int) -> None:
    while torch._C._len_torch_dispatch_stack() > count:
        torch._C._pop_torch_dispatch_stack()


def _saved_tensors_hooks() -> Any:
    return torch._C._autograd._top_saved_tensors_default_hooks(True) if TELLS_OF_HOOKS_ON_SAVED_TENSORS else None


def _set_saved_tensors_hooks(hooks: Any) -> None:
    """Those that were the innermost are it again."""
    while _saved_tensors_hooks() not in (hooks, None):
        torch._C._autograd._pop_saved_tensors_default_hooks()
    if _saved_tensors_hooks() != hooks:
        torch._C._autograd._push_saved_tensors_default_hooks(*hooks)


def _leave_dual_levels(level: int) -> None:
    while forward_ad._current_level > level:
        forward_ad.exit_dual_level()  # type: ignore[no-untyped-call]


def _attention() -> list[Setting]:
    """Which kernels for it may be taken, and how they may sum."""
    kernels = torch.backends.cuda
    names = [
        (f"{kernel}_sdp_enabled", f"enable_{kernel}_sdp") for kernel in ("flash", "mem_efficient", "math", "cudnn")
    ]
    names.append(("fp16_bf16_reduction_math_sdp_allowed", "allow_fp16_bf16_reduction_math_sdp"))
    return [
        Setting(f"torch.backends.cuda.{ask}()", getattr(kernels, ask), getattr(kernels, choose))
        for ask, choose in names
        if hasattr(kernels, ask)
    ]


_BUILT_IN = [name for name, value in vars(torch).items() if isinstance(value, BuiltinFunctionType)]
_built_in = itemgetter(*_BUILT_IN)
"""Of all that a module holds, since torch replaces others of its functions as it imports more."""


def _replaced(before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    return ", ".join(name for name, one, other in zip(_BUILT_IN, before, now, strict=True) if one is not other)


_ALL_BUILT_IN = Setting(
    "torch's functions",
    lambda: _built_in(vars(torch)),
    lambda functions: vars(torch).update(zip(_BUILT_IN, functions, strict=True)),
    apart=_replaced,
)


def _fast_paths() -> list[Setting]:
    """Kernels of the CPU that may be taken instead of others, where this torch has them."""
    mha, nnpack = getattr(torch.backends, "mha", None), getattr(torch._C, "_get_nnpack_enabled", None)
    found = []
    if mha is not None:
        get, choose = mha.get_fastpath_enabled, mha.set_fastpath_enabled
        found.append(Setting("torch.backends.mha.get_fastpath_enabled()", get, choose))
    if nnpack is not None:
        found.append(Setting("whether NNPACK is enabled", nnpack, torch._C._set_nnpack_enabled))
    return found


def _conversion() -> list[Setting]:
    """What `Module.to` does to parameters."""
    future = torch.__future__
    names = ("overwrite_module_params_on_conversion", "swap_module_params_on_conversion")
    return [
        Setting(f"torch.__future__.get_{name}()", getattr(future, f"get_{name}"), getattr(future, f"set_{name}"))
        for name in names
        if hasattr(future, f"get_{name}")
    ]


def _transforms() -> list[Setting]:
    """Those of torch.func that are open; older releases don't tell."""
    functorch = torch._C._functorch
    if not hasattr(functorch, "pop_dynamic_layer_stack_and_undo_to_depth"):
        return []
    depth, pop = functorch.get_dynamic_layer_stack_depth, functorch.pop_dynamic_layer_stack_and_undo_to_depth
    return [Setting("the transforms of torch.func that are open", depth, pop)]


_PRINTING = torch._tensor_str.PRINT_OPTS


def _global_hooks() -> list[dict[Any, Any]]:
    return [dict(hooks) for hooks in _GLOBAL_HOOKS]


def _global_hooks_hold(before: list[dict[Any, Any]]) -> bool:
    return all(map(eq, _GLOBAL_HOOKS, before))


def _set_global_hooks(hooks: list[dict[Any, Any]]) -> None:
    for now, saved in zip(_GLOBAL_HOOKS, hooks, strict=True):
        now.clear()
        now.update(saved)


_GLOBAL_HOOKS = [
    value for name, value in vars(module_hooks).items() if name.startswith("_global_") and isinstance(value, dict)
]


def default_device() -> torch.device | None:
    """None unless somebody has chosen one."""
    return getattr(torch.utils._device, "CURRENT_DEVICE", None)


def set_default_device(device: str | torch.device | None) -> None:
    """torch's own, and its note: a checkpoint enters torch's context a second time, which then forgets what was before.

    That is how the checkpoint recomputes on the device that was the default in the forward pass.
    """
    torch.set_default_device(device)
    torch.utils._device.CURRENT_DEVICE = None if device is None else torch.device(device)


SETTINGS = (
    Setting("torch.is_inference_mode_enabled()", torch.is_inference_mode_enabled, _set_inference_mode),
    Setting("torch.is_grad_enabled()", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("torch.get_default_dtype()", torch.get_default_dtype, torch.set_default_dtype),
    Setting("torch's default device", default_device, set_default_device),
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
    *(
        setting
        for device in ("cpu", "cuda")
        for setting in (
            Setting(f"torch's autocast on {device}", partial(autocasts, device), partial(set_autocast, device)),
            Setting(f"torch's autocast dtype on {device}", *_autocast_dtype(device)),
        )
    ),
    Setting("torch.is_autocast_cache_enabled()", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    Setting("torch's checks of sparse tensors", _SPARSE_CHECKS.is_enabled, _set_sparse_checks),
    Setting(
        "torch.get_float32_matmul_precision()",
        *guarded(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    ),
    *attributes(
        torch.backends.cuda.matmul,
        "torch.backends.cuda.matmul",
        "allow_tf32",
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
        "fp32_precision",  # after the names that set it, too
    ),
    *attributes(torch.backends.cudnn, "torch.backends.cudnn", "enabled", "benchmark", "deterministic", "allow_tf32"),
    *attributes(torch.backends, "torch.backends", "fp32_precision"),
    *attributes(getattr(torch.backends.mkldnn, "matmul", None), "torch.backends.mkldnn.matmul", "fp32_precision"),
    *attributes(torch.backends.mkldnn, "torch.backends.mkldnn", "enabled", "deterministic"),
    _ALL_BUILT_IN,
    *_fast_paths(),
    attribute(torch.distributions.Distribution, "_validate_args", "torch.distributions.Distribution._validate_args"),
    *attributes(torch.utils.deterministic, "torch.utils.deterministic", "fill_uninitialized_memory"),
    *attributes(getattr(torch.backends, "opt_einsum", None), "torch.backends.opt_einsum", "enabled", "strategy"),
    *attributes(torch.backends.quantized, "torch.backends.quantized", "engine"),
    *_attention(),
    *_conversion(),
    Setting("whether autograd uses threads", torch._C._is_multithreading_enabled, torch._C._set_multithreading_enabled),
    Setting("the level of forward_ad", lambda: forward_ad._current_level, _leave_dual_levels),
    Setting("whether forward mode is enabled", torch._C._is_fwd_grad_enabled, torch._C._set_fwd_grad_enabled),
    Setting("torch.is_warn_always_enabled()", torch.is_warn_always_enabled, torch.set_warn_always),
    Setting("torch.set_printoptions()", lambda: dict(vars(_PRINTING)), vars(_PRINTING).update),
    Setting("torch's stack of function modes", torch._C._len_torch_function_stack, _pop_function_modes),
    Setting("torch's stack of dispatch modes", torch._C._len_torch_dispatch_stack, _pop_dispatch_modes),
    *_transforms(),
    Setting("torch's hooks on saved tensors", _saved_tensors_hooks, _set_saved_tensors_hooks),
    Setting("torch's hooks on all modules", _global_hooks, _set_global_hooks, None, _global_hooks_hold),
)
