"""Something is otherwise afterwards."""

from __future__ import annotations

import logging
import os
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.modules.module as modules
from torch import Tensor, nn

from jaccheck._capabilities import TELLS_OF_HOOKS_ON_SAVED_TENSORS, set_autocast
from jaccheck.selftest.fault import Fault
from jaccheck.selftest.wrong_paths import Jacobian, computed, right


def _leaving(name: str, words: str, after: Callable[[nn.Module, Tensor, Jacobian], object]) -> Fault:
    """The path whose result is right, and that does something else besides."""

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        with torch.no_grad():
            after(model, x, J)
        return J

    return computed(name, words, compute)


def _outside(name: str, words: str, after: Callable[[], object]) -> Fault:
    """Likewise, of what is global and may be the grad mode itself."""

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        after()
        return J

    return computed(name, words, compute)


def _each(do: Callable[[Tensor], object]) -> Callable[[nn.Module, Tensor, Jacobian], object]:
    return lambda model, x, J: [do(p) for p in model.parameters()]


def _attribute(name: str, value: Callable[[str, Jacobian], object]) -> Callable[[nn.Module, Tensor, Jacobian], None]:
    def give(model: nn.Module, x: Tensor, J: Jacobian) -> None:
        for key, p in model.named_parameters():
            setattr(p, name, value(key, J))

    return give


def _input0(model: nn.Module, x: Tensor, J: Jacobian) -> None:
    for module in model.modules():
        module.input0 = x


def _hook_on_gradient(model: nn.Module, x: Tensor, J: Jacobian) -> None:
    next(p for p in model.parameters() if p.requires_grad).register_hook(_nothing)  # type: ignore[no-untyped-call]


def _nothing(gradient: Tensor) -> None:
    return None


def _hook_on_state_dict(model: nn.Module, x: Tensor, J: Jacobian) -> None:
    model._register_state_dict_hook(_identity)  # type: ignore[no-untyped-call]


def _add_to_grad(p: Tensor) -> None:
    p.grad = torch.ones_like(p) if p.grad is None else p.grad.add_(1)


def _first(model: nn.Module) -> Tensor:
    return next(model.parameters())


def _nudged(p: Tensor) -> None:
    p.flatten()[:1].nextafter_(torch.full_like(p.flatten()[:1], torch.inf))


def _moved(p: Tensor) -> None:
    p.data = p.detach().clone()


def _identity(module: nn.Module, *_: object) -> None:
    return None


def _extended(model: nn.Module) -> None:
    import backpack

    backpack.extend(model)


def _store_io() -> None:
    from backpack import disable

    disable.store_io = not disable.store_io


def _active() -> None:
    from backpack.context import CTX

    CTX.set_active_exts(["left"])


def _numpy() -> None:
    import numpy as np

    np.random.rand()


def _tanh(*args: Any, **kwargs: Any) -> Tensor:
    return _TANH(*args, **kwargs)


_TANH = torch.tanh


def _last_child(model: nn.Module) -> nn.Module:
    return list(model.modules())[-1]


FAULTS = [
    _leaving("leaves_grad", ".grad is zeros", _each(lambda p: setattr(p, "grad", torch.zeros_like(p)))),
    _leaving(
        "adds_to_grad",
        ".grad has grown, where there is one",
        _each(_add_to_grad),
    ),
    _leaving(
        "leaves_an_attribute_of_parameters",
        "parameters have grad_batch",
        _attribute("grad_batch", lambda name, J: J.get(name)),
    ),
    _leaving(
        "leaves_an_attribute_of_layers",
        "layers have input0",
        _input0,
    ),
    _leaving("leaves_an_attribute_of_x", "x has a tag", lambda model, x, J: setattr(x, "tag", 1)),
    _leaving(
        "leaves_a_forward_hook",
        "there is one more forward hook",
        lambda model, x, J: model.register_forward_hook(_identity),
    ),
    _leaving(
        "leaves_a_forward_pre_hook",
        "there is one more hook before the forward",
        lambda model, x, J: _last_child(model).register_forward_pre_hook(_identity),
    ),
    _leaving(
        "leaves_a_backward_hook",
        "there is one more backward hook",
        lambda model, x, J: _last_child(model).register_full_backward_hook(_identity),
    ),
    _leaving(
        "leaves_a_hook_on_a_parameter",
        "the gradient of a parameter has a hook",
        _hook_on_gradient,
    ),
    _leaving(
        "leaves_a_state_dict_hook",
        "state_dict has a hook",
        _hook_on_state_dict,
    ),
    _leaving(
        "leaves_a_buffer", "there is one more buffer", lambda model, x, J: model.register_buffer("left", torch.zeros(1))
    ),
    _leaving(
        "leaves_a_parameter", "there is one more parameter", lambda model, x, J: model.register_parameter("left", None)
    ),
    _leaving(
        "leaves_a_module", "there is one more submodule", lambda model, x, J: model.add_module("left", nn.Identity())
    ),
    _leaving("leaves_it_extended", "BackPACK's hooks stay", lambda model, x, J: _extended(model)),
    _leaving(
        "switches_the_mode", "training and evaluation are swapped", lambda model, x, J: model.train(not model.training)
    ),
    _leaving(
        "switches_the_mode_of_a_layer",
        "the last layer is in the other mode",
        lambda model, x, J: _last_child(model).train(not _last_child(model).training),
    ),
    _leaving("changes_the_input", "1 is added to x", lambda model, x, J: x.detach().add_(1)),
    _leaving(
        "changes_a_parameter", "a parameter has lost half", lambda model, x, J: _first(model).mul_(0.5).add_(0.25)
    ),
    _leaving(
        "nudges_a_parameter",
        "a number of the last parameter is the next one",
        lambda model, x, J: _nudged(list(model.parameters())[-1].detach().view(-1)),
    ),
    _leaving("moves_parameters", "parameters are elsewhere", _each(_moved)),
    _leaving(
        "freezes",
        "the last parameter is frozen",
        lambda model, x, J: list(model.parameters())[-1].requires_grad_(not list(model.parameters())[-1].requires_grad),
    ),
    _leaving(
        "x_requires_grad",
        "x requires grad, or doesn't any more",
        lambda model, x, J: x.requires_grad_(not x.requires_grad) if x.is_leaf else setattr(x, "tag", 1),
    ),
    _leaving(
        "changes_the_class",
        "the model has another class",
        lambda model, x, J: setattr(model, "__class__", type("Other", (type(model),), {})),
    ),
    _leaving(
        "retains",
        "x is no longer contiguous in the same memory",
        lambda model, x, J: setattr(x, "data", x.detach().clone()),
    ),
    _outside("draws_from_torch", "torch's random stream has moved on", lambda: torch.rand(1)),
    _outside("seeds_torch", "torch's random stream begins anew", lambda: torch.manual_seed(0)),
    _outside("draws_from_python", "Python's random stream has moved on", random.random),
    _outside("draws_from_numpy", "numpy's random stream has moved on", _numpy),
    _outside("default_dtype", "the default dtype is another one", lambda: torch.set_default_dtype(torch.float16)),
    _outside("default_device", "there is a default device", lambda: torch.set_default_device("cpu")),
    _outside("grad_mode", "gradients are off", lambda: torch.set_grad_enabled(False)),
    _outside("threads", "there are more torch threads", lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    _outside(
        "deterministic",
        "deterministic algorithms are on",
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    ),
    _outside(
        "precision_of_products",
        "float32 products may be rounded first",
        lambda: torch.set_float32_matmul_precision("medium"),
    ),
    _outside("anomalies", "anomaly detection is on", lambda: torch.autograd.set_detect_anomaly(True)),
    _outside("autocast", "autocast is on", lambda: set_autocast("cpu", True)),
    _outside("flushes", "subnormals are flushed", lambda: torch.set_flush_denormal(True)),
    _outside(
        "hook_on_all_modules", "there is a hook on all modules", lambda: modules.register_module_forward_hook(_identity)
    ),
    _outside("filters", "warnings are ignored", lambda: warnings.simplefilter("ignore")),
    _outside("showwarning", "warnings go elsewhere", lambda: setattr(warnings, "showwarning", print)),
    _outside("backpack_extensions", "BackPACK thinks it is at work", _active),
    _outside("backpack_store_io", "BackPACK's switch is the other way", _store_io),
    _outside("mkldnn", "oneDNN is off", lambda: torch._C._set_mkldnn_enabled(False)),
    _outside("torch_functions", "a function of torch's is another one", lambda: setattr(torch, "tanh", _tanh)),
    _outside("attention", "attention takes no fast path", lambda: torch.backends.mha.set_fastpath_enabled(False)),
    _outside(
        "distributions",
        "distributions don't check their arguments",
        lambda: torch.distributions.Distribution.set_default_validate_args(False),
    ),
    *(
        [_outside("nnpack", "NNPACK is off", lambda: torch._C._set_nnpack_enabled(False))]
        if hasattr(torch._C, "_set_nnpack_enabled")  # not in torch 2.2
        else []
    ),
    _outside("loggers", "a library's logger says nothing any more", lambda: logging.getLogger("torch").setLevel(60)),
    _outside("environment", "an environment variable is left", lambda: os.environ.__setitem__("JACCHECK_LEFT", "1")),
    _outside(
        "recursion_limit",
        "Python's recursion limit is another one",
        lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    ),
]
if TELLS_OF_HOOKS_ON_SAVED_TENSORS:  # elsewhere nobody can tell, nor take them off again
    FAULTS += [
        _outside(
            "saved_tensors",
            "there is a hook on saved tensors",
            lambda: torch.autograd.graph.saved_tensors_hooks(_same, _same).__enter__(),
        )
    ]


def _same(t: Tensor) -> Tensor:
    return t
