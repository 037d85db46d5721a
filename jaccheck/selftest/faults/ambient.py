"""Right by default: then something around the call is otherwise, and it isn't."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from jaccheck.selftest.faults.calls import once, swallowing
from jaccheck.selftest.wrong_paths import Compute, Jacobian, computed, made, right


def _zero_while(so: Callable[[], bool]) -> Compute:
    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        wrong = so()
        return {name: j * 0 if wrong else j for name, j in right(model, x).items()}

    return compute


def _parameters_of_the_first_call() -> Compute:
    names: WeakKeyDictionary[nn.Module, list[str]] = WeakKeyDictionary()

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        return {name: J[name] for name in names.setdefault(model, list(J)) if name in J}

    return compute


def _one_mode_meanwhile(model: nn.Module, x: Tensor) -> Jacobian:
    modes = [(module, module.training) for module in model.modules()]
    model.train(model.training)
    try:
        return right(model, x)
    finally:
        for module, training in modes:
            module.training = training


def _one_mode(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    model.train(model.training)
    return J


def _no_grad_behind_an_exception(model: nn.Module, x: Tensor) -> Jacobian:
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    J = right(model, x)
    torch.set_grad_enabled(before)
    return J


def _gradients_on_at_the_end(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    torch.set_grad_enabled(True)
    return J


def _weights_lost_behind_an_exception(model: nn.Module, x: Tensor) -> Jacobian:
    before = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad(), torch.random.fork_rng():
        for p in model.parameters():
            p.zero_()
        model(x)
        for p, old in zip(model.parameters(), before, strict=True):
            p.copy_(old)
    return right(model, x)


def _ids(model: nn.Module, x: Tensor) -> list[int]:
    return [id(p) for p in model.parameters()]


FAULTS = [
    computed("zero_under_no_grad", "under no_grad it gives zeros", _zero_while(lambda: not torch.is_grad_enabled())),
    computed("zero_in_inference_mode", "in inference mode: zeros", _zero_while(torch.is_inference_mode_enabled)),
    computed(
        "zero_by_default_dtype",
        "with another default dtype than float32 it gives zeros",
        _zero_while(lambda: torch.get_default_dtype() != torch.float32),
    ),
    computed(
        "zero_if_deterministic",
        "where deterministic algorithms are asked for it gives zeros",
        _zero_while(torch.are_deterministic_algorithms_enabled),
    ),
    computed("zero_if_anomalous", "with anomaly detection it gives zeros", _zero_while(torch.is_anomaly_enabled)),
    made(
        "parameters_of_the_first_call",
        "of a model it gives the parameters that were trainable in the first call",
        _parameters_of_the_first_call,
    ),
    made(
        "wrong_for_new_parameters",
        "after parameters were replaced it is wrong",
        once(lambda model, x, ids: _ids(model, x) != ids, _ids),
    ),
    computed(
        "no_grad_behind_an_exception",
        "where the model raises, gradients stay switched off",
        _no_grad_behind_an_exception,
    ),
    computed("gradients_on_at_the_end", "afterwards gradients are switched on", _gradients_on_at_the_end),
    computed(
        "weights_lost_behind_an_exception",
        "where the model raises, its weights stay zero as a probe left them",
        _weights_lost_behind_an_exception,
    ),
    computed("swallows_runtime_error", "where the model raises RuntimeError: zeros", swallowing(RuntimeError)),
    computed("swallows_memory_error", "where the model raises MemoryError: zeros", swallowing(MemoryError)),
    computed("one_mode_for_all", "afterwards all modules are in the model's mode", _one_mode),
    computed("one_mode_meanwhile", "all modules are in the model's mode, and put back", _one_mode_meanwhile),
]
