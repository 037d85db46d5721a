"""Right at first: then something has happened, and it isn't any more."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import deepcopy
from threading import current_thread, main_thread
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from jaccheck.paths import get
from jaccheck.selftest.fault import LOOP
from jaccheck.selftest.wrong_paths import Compute, Jacobian, computed, made, right

Memory = WeakKeyDictionary[nn.Module, Any]


def _scaled(J: Jacobian, factor: float) -> Jacobian:
    return {name: factor * j for name, j in J.items()}


def _from_call(first: int, last: int | None = None) -> Callable[[], Compute]:
    """Wrong from one call of a model on, up to another."""

    def make() -> Compute:
        calls: Memory = WeakKeyDictionary()

        def compute(model: nn.Module, x: Tensor) -> Jacobian:
            calls[model] = calls.get(model, 0) + 1
            wrong = first <= calls[model] <= (last or calls[model])
            return _scaled(right(model, x), 2 if wrong else 1)

        return compute

    return make


def _accumulating() -> Compute:
    sums: Memory = WeakKeyDictionary()

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        before = sums.get(model, {})
        J = right(model, x)
        sums[model] = {
            name: j + before[name] if name in before and before[name].shape == j.shape else j for name, j in J.items()
        }
        return dict(sums[model])

    return compute


def _broken_by_an_exception() -> Compute:
    broken: Memory = WeakKeyDictionary()

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        try:
            J = right(model, x)
        except Exception:
            broken[model] = True
            raise
        return _scaled(J, 0 if broken.get(model) else 1)

    return compute


def _raising_another() -> Compute:
    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        try:
            return right(model, x)
        except (MemoryError, ValueError) as error:
            raise RuntimeError(str(error)) from None

    return compute


def _keeping_models() -> Compute:
    models: list[nn.Module] = []

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        if all(model is not kept for kept in models):
            models.append(model)
        return right(model, x)

    return compute


def _copying_once() -> Compute:
    copies: Memory = WeakKeyDictionary()

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        if model not in copies:
            copies[model] = deepcopy(model)
        return right(copies[model].to(x.dtype), x)

    return compute


def once(
    happened: Callable[[nn.Module, Tensor, Any], bool], note: Callable[[nn.Module, Tensor], Any]
) -> Callable[[], Compute]:
    """Once something has `happened` to a model since its first call, of which `note` was taken, it stays wrong."""

    def make() -> Compute:
        notes: Memory = WeakKeyDictionary()
        spoiled: Memory = WeakKeyDictionary()

        def compute(model: nn.Module, x: Tensor) -> Jacobian:
            if model not in notes:
                notes[model] = note(model, x)
            elif happened(model, x, notes[model]):
                spoiled[model] = True
            return _scaled(right(model, x), 2 if spoiled.get(model) else 1)

        return compute

    return make


def _adds_grad(model: nn.Module, x: Tensor) -> Jacobian:
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: j + grads[name] if name in grads else j for name, j in right(model, x).items()}


def _on_the_default_device(model: nn.Module, x: Tensor) -> Jacobian:
    return {name: j.to(torch.empty(0).device) for name, j in right(model, x).items()}


def swallowing(error: type[Exception]) -> Callable[[nn.Module, Tensor], Jacobian]:
    """Where the model raises an `error` it gives zeros."""

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        try:
            return right(model, x)
        except error:
            named = {name: p for name, p in model.named_parameters() if p.requires_grad}
            outputs = [m.out_features for m in model.modules() if isinstance(m, nn.Linear)][-1:] or [1]
            return {name: p.new_zeros(len(x), outputs[0], *p.shape) for name, p in named.items()}

    return compute


def _mode_lost_by_ctrl_c(model: nn.Module, x: Tensor) -> Jacobian:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        J = right(model, x)
    except Exception:
        for module, training in modes:
            module.training = training
        raise
    for module, training in modes:
        module.training = training
    return J


def _in_another_thread(model: nn.Module, x: Tensor) -> Jacobian:
    return _scaled(right(model, x), 1 if current_thread() is main_thread() else 0.5)


def _with_more_threads(model: nn.Module, x: Tensor) -> Jacobian:
    return _scaled(right(model, x), 1 if torch.get_num_threads() == 1 else 0.5)


def _one_mapping() -> Compute:
    """With other tensors each time."""
    given: Jacobian = {}

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        given.clear()
        given.update(J)
        return given

    return compute


def _buffers_of_the_largest_batch() -> Compute:
    """Rows are written into a buffer that is only replaced by a larger one, and given with all it holds."""
    buffers: Memory = WeakKeyDictionary()

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        J = right(model, x)
        held = buffers.setdefault(model, {})
        for name, j in J.items():
            if name not in held or len(held[name]) < len(j) or held[name].dtype != j.dtype:
                held[name] = j
        return {name: held[name][-len(j) :] if len(j) else j for name, j in J.items()}

    return compute


def _reusing_memory() -> Compute:
    """The same tensors each time, which are overwritten."""
    kept: dict[Hashable, Tensor] = {}

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        return {
            name: kept.setdefault((name, j.shape, j.dtype), torch.empty_like(j)).copy_(j)
            for name, j in right(model, x).items()
        }

    return compute


def _in_the_users_memory(model: nn.Module, x: Tensor) -> Jacobian:
    """The input, or a parameter, where the Jacobian happens to have its values."""
    J = right(model, x)
    for own in (x, *model.parameters()):
        for name, j in J.items():
            if j.numel() == own.numel() and torch.equal(j.flatten(), own.detach().flatten()):
                J[name] = own.detach().reshape(j.shape)
    return J


def _last_model() -> Compute:
    """With two models of one form in turn, it takes the parameters of the one before."""
    last: list[nn.Module] = []

    def compute(model: nn.Module, x: Tensor) -> Jacobian:
        shapes = [p.shape for p in model.parameters()]
        other = last[-1] if last and [p.shape for p in last[-1].parameters()] == shapes else model
        last[:] = [model]
        return right(deepcopy(other).to(x.dtype) if other is not model else model, x)

    return compute


def _if_extended(model: nn.Module, x: Tensor) -> Jacobian:
    loop = get(LOOP).jacobian(model, x)  # torch.func declines what BackPACK has extended
    return _scaled(loop, 2 if any("_backpack_extend" in vars(m) for m in model.modules()) else 1)


def _nothing(model: nn.Module, x: Tensor) -> None:
    return None


def _is_empty(model: nn.Module, x: Tensor, _: object) -> bool:
    return len(x) == 0


def _is_frozen(model: nn.Module, x: Tensor, _: object) -> bool:
    return not any(p.requires_grad for p in model.parameters())


def _shapes(model: nn.Module, x: Tensor) -> list[torch.Size]:
    return [p.shape for p in model.parameters()]


def _names(model: nn.Module, x: Tensor) -> list[str]:
    return [name for name, _ in model.named_modules()]


def _requires_grad(model: nn.Module, x: Tensor) -> list[bool]:
    return [p.requires_grad for p in model.parameters()]


FAULTS = [
    made("exceptions_of_one_class", "what is raised in a call comes out as a RuntimeError", _raising_another),
    made("models_kept", "each model is kept in memory", _keeping_models),
    made("second_call", "the second call is wrong", _from_call(2, 2)),
    made("third_call", "the third call is wrong", _from_call(3, 3)),
    made("from_the_second_call_on", "it is wrong from the second call on", _from_call(2)),
    made("from_the_fourth_call_on", "it is wrong from the fourth call on", _from_call(4)),
    made("from_the_tenth_call_on", "it is wrong from the tenth call on", _from_call(10)),
    made("accumulates_over_calls", "results are added to those before", _accumulating),
    made("broken_by_an_exception", "after a failed call it gives zeros", _broken_by_an_exception),
    made("parameters_as_they_were", "the model is copied in the first call", _copying_once),
    computed("adds_what_grad_holds", "what stands in .grad is added", _adds_grad),
    computed("on_the_default_device", "tensors are made without a device", _on_the_default_device),
    computed("swallows_exceptions", "where the model raises it gives zeros", swallowing(Exception)),
    computed("mode_lost_by_ctrl_c", "after Ctrl-C the model is in evaluation mode", _mode_lost_by_ctrl_c),
    computed("wrong_in_another_thread", "other threads get half", _in_another_thread),
    computed("wrong_with_more_threads", "with more than one torch thread it is half", _with_more_threads),
    made(
        "buffers_of_the_largest_batch",
        "after a larger batch rows are those of the larger one",
        _buffers_of_the_largest_batch,
    ),
    made("reuses_memory", "each result is written over the one before", _reusing_memory),
    computed("in_the_users_memory", "the result is a view of the input or of a parameter", _in_the_users_memory),
    made("parameters_of_the_last_model", "two models in turn are mixed up", _last_model),
    made("wrong_if_extended", "what BackPACK has extended counts twice", lambda: _if_extended, base=LOOP),
    made(
        "wrong_after_another_dtype",
        "after a call in another dtype it is wrong",
        once(lambda model, x, dtype: x.dtype != dtype, lambda model, x: x.dtype),
    ),
    made(
        "wrong_after_another_mode",
        "after a call in the other mode it is wrong",
        once(lambda model, x, mode: model.training != mode, lambda model, x: model.training),
    ),
    made(
        "wrong_after_another_batch_size",
        "after a call with another N it is wrong",
        once(lambda model, x, n: len(x) != n, lambda model, x: len(x)),
    ),
    made(
        "wrong_after_freezing",
        "after a parameter was frozen it is wrong",
        once(lambda model, x, flags: _requires_grad(model, x) != flags, _requires_grad),
    ),
    made(
        "wrong_after_new_memory",
        "after a parameter got other memory it is wrong",
        once(
            lambda model, x, ptrs: [p.data_ptr() for p in model.parameters()] != ptrs,
            lambda model, x: [p.data_ptr() for p in model.parameters()],
        ),
    ),
    made(
        "wrong_once_grad_is_there",
        "after a backward pass of the user's own it is wrong",
        once(
            lambda model, x, there: any(p.grad is not None for p in model.parameters()) != there,
            lambda model, x: any(p.grad is not None for p in model.parameters()),
        ),
    ),
    made("one_mapping_for_all", "each call gives the same mapping, of other tensors", _one_mapping),
    made("wrong_after_no_samples", "after a call with N = 0 it is wrong", once(_is_empty, _nothing)),
    made("wrong_after_all_were_frozen", "after all parameters were frozen it is wrong", once(_is_frozen, _nothing)),
    made(
        "wrong_after_another_head",
        "after a parameter had another shape it is wrong",
        once(lambda model, x, shapes: _shapes(model, x) != shapes, _shapes),
    ),
    made(
        "wrong_after_another_structure",
        "after there were other layers it is wrong",
        once(lambda model, x, names: _names(model, x) != names, _names),
    ),
]
