"""Results that are kept under a key that doesn't say all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from itertools import combinations
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from jaccheck.selftest.wrong_paths import Compute, Jacobian, made, right


def _kept_by(key: Callable[[nn.Module, Tensor], Hashable]) -> Callable[[], Compute]:
    """The result is kept under a key that doesn't say all."""

    def make() -> Compute:
        kept: dict[Hashable, Jacobian] = {}

        def compute(model: nn.Module, x: Tensor) -> Jacobian:
            under = key(model, x)
            if under not in kept:
                kept[under] = right(model, x)
            return {name: j.clone() for name, j in kept[under].items()}

        return compute

    return make


def _by_model(key: Callable[[nn.Module, Tensor], Hashable]) -> Callable[[], Compute]:
    """The result is kept for each model, as long as the key is the same."""

    def make() -> Compute:
        kept: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()

        def compute(model: nn.Module, x: Tensor) -> Jacobian:
            under = key(model, x)
            if model not in kept or kept[model][0] != under:
                kept[model] = under, right(model, x)
            return {name: j.clone() for name, j in kept[model][1].items()}

        return compute

    return make


def _ptr(model: nn.Module, x: Tensor) -> Hashable:
    return (x.data_ptr(), tuple(x.shape), x.dtype, *(p.data_ptr() for p in model.parameters()))


def _shapes(model: nn.Module, x: Tensor) -> Hashable:
    return (str(model), tuple(x.shape), x.dtype, tuple((name, p.requires_grad) for name, p in model.named_parameters()))


def _ids(model: nn.Module, x: Tensor) -> Hashable:
    return (
        id(model),
        id(x),
        tuple(x.shape),
        x.dtype,
        tuple((name, p.requires_grad) for name, p in model.named_parameters()),
    )


def _versions(model: nn.Module, x: Tensor) -> Hashable:
    return (
        x._version,
        tuple(x.shape),
        x.dtype,
        tuple((p._version, p.dtype, p.requires_grad) for p in model.parameters()),
    )


def _first_values(model: nn.Module, x: Tensor) -> Hashable:
    return (
        tuple(x.shape),
        x.dtype,
        tuple((p.dtype, p.requires_grad, float(p.detach().flatten()[0])) for p in model.parameters()),
    )


def _of_parameters(of: Callable[[list[nn.Parameter]], Hashable]) -> Callable[[nn.Module, Tensor], Hashable]:
    """A key of all that a shape tells, of x, and of some parameters."""
    return lambda model, x: (_shapes(model, x), _bits(x), of([*model.parameters()]))


def _bits(t: Tensor) -> bytes:
    flat = t.detach().resolve_neg().cpu().flatten().clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().tobytes()


def _modules_of_the_first_call() -> Compute:
    layers: WeakKeyDictionary[nn.Module, dict[str, nn.Module]] = WeakKeyDictionary()

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        now = dict(model.named_modules())
        first = layers.setdefault(model, {name: module for name, module in now.items() if module is not model})
        _put(model, first)
        try:
            return right(model, x)
        finally:
            _put(model, {name: now[name] for name in first})

    return compute


def _put(model: nn.Module, modules: Mapping[str, nn.Module]) -> None:
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        model.get_submodule(parent)._modules[last] = module


def _numbers(model: nn.Module, x: Tensor) -> Hashable:
    modes = tuple(module.training for module in model.modules())
    parameters = tuple((name, p.requires_grad, _bits(p)) for name, p in model.named_parameters())
    return (tuple(x.shape), x.dtype, _bits(x), modes, parameters, tuple(map(_bits, model.buffers())))


def _in_turns() -> Compute:
    pools: dict[Hashable, deque[Tensor]] = {}

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        for name, j in J.items():
            pool = pools.setdefault((name, j.shape, j.dtype), deque())
            memory = pool.popleft() if len(pool) == 4 else torch.empty_like(j)
            pool.append(memory.copy_(j))
            J[name] = memory
        return J

    return compute


def _zeros_kept() -> Compute:
    zeros: dict[Hashable, Tensor] = {}

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        return {name: j if j.any() else zeros.setdefault((j.shape, j.dtype), j) for name, j in J.items()}

    return compute


def _equals_are_one() -> Compute:
    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        for (one, a), (other, b) in combinations(list(J.items()), 2):
            if torch.equal(a, b):
                J[other] = J[one]
        return J

    return compute


FAULTS = [
    made("kept_by_shapes", "results are kept by shapes", _kept_by(_shapes)),
    made("kept_by_addresses", "results are kept by addresses", _kept_by(_ptr)),
    made("kept_by_ids", "results are kept by the objects' ids", _kept_by(_ids)),
    made("kept_by_the_model", "the result is kept while the input has the same shape", _by_model(_shapes)),
    made(
        "kept_by_all_but_settings",
        "the result is kept until a number changes, or a name",
        _by_model(lambda model, x: (_versions(model, x), [float(p.double().sum()) for p in model.parameters()])),
    ),
    made("kept_by_versions", "the result is kept until a version counter goes up", _by_model(_versions)),
    made(
        "kept_by_first_values", "the result is kept until a parameter's first number changes", _by_model(_first_values)
    ),
    made(
        "kept_by_the_first_parameter",
        "the result is kept until the first parameter changes",
        _by_model(_of_parameters(lambda parameters: _bits(parameters[0]))),
    ),
    made(
        "kept_by_weights",
        "the result is kept until a weight changes",
        _by_model(_of_parameters(lambda parameters: tuple(_bits(p) for p in parameters if p.dim() > 1))),
    ),
    made(
        "kept_by_what_is_trainable",
        "the result is kept until a trainable parameter changes",
        _by_model(_of_parameters(lambda parameters: tuple(_bits(p) for p in parameters if p.requires_grad))),
    ),
    made(
        "kept_by_rounded_numbers",
        "the result is kept until a parameter changes in bfloat16",
        _by_model(_of_parameters(lambda parameters: tuple(_bits(p.bfloat16()) for p in parameters))),
    ),
    made(
        "kept_by_the_inputs_version",
        "the result is kept until autograd sees a change of the input",
        _by_model(lambda model, x: (_shapes(model, x), x._version, [_bits(p) for p in model.parameters()])),
    ),
    made(
        "kept_by_the_outer_samples",
        "the result is kept until the first sample changes, or the last one",
        _by_model(lambda model, x: (_shapes(model, x), _bits(x[:1]), _bits(x[-1:]), *map(_bits, model.parameters()))),
    ),
    made(
        "kept_by_the_rounded_input",
        "the result is kept until the input changes in bfloat16",
        _by_model(lambda model, x: (_shapes(model, x), _bits(x.bfloat16()), *map(_bits, model.parameters()))),
    ),
    made("kept_by_numbers", "the result is kept until a number changes", _by_model(_numbers)),
    made("four_results_in_turns", "each fourth result is in the same memory", _in_turns),
    made("zeros_are_kept", "all Jacobians of zeros of one shape are one tensor", _zeros_kept),
    made("equals_are_one", "Jacobians of two parameters that are equal are one tensor", _equals_are_one),
    made("modules_of_the_first_call", "layers are those of a model's first call", _modules_of_the_first_call),
]
