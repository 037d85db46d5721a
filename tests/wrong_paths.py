"""Paths that are wrong on purpose: what each does, and the property by which it has to be caught."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import cycle
from threading import current_thread, main_thread
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from jaccheck.paths import get

Jacobian = dict[str, Tensor]
Compute = Callable[[nn.Module, Tensor], Jacobian]

WRONG: dict[str, Wrong] = {}


@dataclass(frozen=True)
class Wrong:
    """A path that doesn't keep `law`."""

    name: str
    law: str
    compute: Compute
    networks: str = "networks"  # the strategy whose networks show it

    def jacobian(self, model: nn.Module, x: Tensor) -> Jacobian:
        return self.compute(model, x)


def right(model: nn.Module, x: Tensor) -> Jacobian:
    """What all of them begin with: the path that has the fewest defects of its own."""
    return get("vmap_jacrev").jacobian(model, x)


def wrong(law: str = "enclosure", networks: str = "networks") -> Callable[[Compute], Compute]:
    """Enter a path."""

    def entered(compute: Compute) -> Compute:
        WRONG[compute.__name__] = Wrong(compute.__name__, law, compute, networks)
        return compute

    return entered


def altered(law: str = "enclosure", networks: str = "networks") -> Callable[[Callable[[Tensor], Tensor]], object]:
    """Enter the path that gives each parameter's right Jacobian, altered."""

    def entered(alter: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def compute(model: nn.Module, x: Tensor) -> Jacobian:
            return {name: alter(j) for name, j in right(model, x).items()}

        WRONG[alter.__name__] = Wrong(alter.__name__, law, compute, networks)
        return alter

    return entered


# ---------------------------------------------------------------------- values


@altered()
def sign(j: Tensor) -> Tensor:
    return -j


@altered()
def factor_two(j: Tensor) -> Tensor:
    return 2 * j


@altered()
def square_root_of_two(j: Tensor) -> Tensor:
    return math.sqrt(2) * j


@altered(networks="exact_networks")
def transposed_if_square(j: Tensor) -> Tensor:
    return j.mT if j.dim() == 4 and j.shape[2] == j.shape[3] else j


@altered()
def samples_reversed(j: Tensor) -> Tensor:
    return j.flip(0)


@altered()
def classes_reversed(j: Tensor) -> Tensor:
    return j.flip(1)


@altered(networks="exact_networks")
def samples_and_classes_swapped(j: Tensor) -> Tensor:
    return j.transpose(0, 1) if j.shape[0] == j.shape[1] else j


@altered()
def units_rolled(j: Tensor) -> Tensor:
    return j.roll(1, 2)


@altered()
def last_sample_dropped(j: Tensor) -> Tensor:
    return torch.cat([j[:-1], torch.zeros_like(j[-1:])])


@altered()
def last_unit_dropped(j: Tensor) -> Tensor:
    return j.index_fill(2, torch.tensor([j.shape[2] - 1], device=j.device), 0)


@altered()
def summed_over_batch(j: Tensor) -> Tensor:
    return j.sum(0, keepdim=True).expand_as(j)


@altered()
def mean_instead_of_sum(j: Tensor) -> Tensor:
    return j / max(len(j), 1)


@altered()
def by_way_of_bfloat16(j: Tensor) -> Tensor:
    return j.bfloat16().to(j.dtype)


@altered()
def by_way_of_float16(j: Tensor) -> Tensor:
    return j.half().to(j.dtype)


@altered()
def double_by_way_of_single(j: Tensor) -> Tensor:
    return j.float().to(j.dtype)


@altered()
def flush_to_zero(j: Tensor) -> Tensor:
    return torch.where(j.abs() < 2 * torch.finfo(j.dtype).tiny, torch.zeros_like(j), j)


@altered()
def off_by_one_from_17_samples_on(j: Tensor) -> Tensor:
    return torch.cat([j[:16], j[15:-1]]) if len(j) >= 17 else j


@altered(networks="exact_networks")
def zeros_beyond_128_units(j: Tensor) -> Tensor:
    return torch.where(torch.arange(j.shape[-1], device=j.device) < 128, j, torch.zeros_like(j))


@altered()
def half_wrong_in_float16(j: Tensor) -> Tensor:
    return j * 1.5 if j.dtype == torch.float16 else j


@altered()
def eight_units_off(j: Tensor) -> Tensor:
    return j * (1 + 8 * torch.finfo(j.dtype).eps)


@altered("exact", "exact_networks")
def one_last_place_off(j: Tensor) -> Tensor:
    return torch.where(j == 0, j, j.nextafter(torch.full_like(j, math.inf)))


@altered()
def leak_from_the_next_sample(j: Tensor) -> Tensor:
    return j + j.roll(1, 0) / 8 if len(j) > 1 else j


@altered("batching")
def nan_spreads_over_samples(j: Tensor) -> Tensor:
    return j + 0 * j.sum(0)


@wrong()
def activations_of_the_first_sample(model: nn.Module, x: Tensor) -> Jacobian:
    return right(model, x[:1].expand_as(x))


@wrong()
def float32_throughout(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(deepcopy(model).float(), x.float())
    return {name: j.to(x.dtype) for name, j in J.items()}


@wrong()
def leaky_slope_is_the_default(model: nn.Module, x: Tensor) -> Jacobian:
    model = deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.LeakyReLU):
            module.negative_slope = 0.01
    return right(model, x)


class _OneAtZero(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return z.relu()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient * (ctx.saved_tensors[0] >= 0)


class _Wider(nn.Module):
    """Sigmoid, wrong between 2 and 2.1 alone."""

    def forward(self, z: Tensor) -> Tensor:
        inside = (z >= 2) & (z < 2.1)
        return torch.where(inside, z.sigmoid() * 1.25, z.sigmoid())


class _Instead(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


def _replaced(model: nn.Module, kind: type[nn.Module], by: Callable[[], nn.Module]) -> nn.Module:
    model = deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is kind:
                setattr(module, name, by())
    return by() if type(model) is kind else model


@wrong("exact", "exact_networks")
def relu_has_slope_one_at_zero(model: nn.Module, x: Tensor) -> Jacobian:
    return right(_replaced(model, nn.ReLU, lambda: _Instead(_OneAtZero.apply)), x)


@wrong("every_input", "half")
def sigmoid_wrong_for_few_arguments(model: nn.Module, x: Tensor) -> Jacobian:
    return right(_replaced(model, nn.Sigmoid, _Wider), x)


@wrong("every_input", "half")
def tanh_is_flat_too_early(model: nn.Module, x: Tensor) -> Jacobian:
    return right(_replaced(model, nn.Tanh, lambda: _Instead(lambda z: z.clamp(-3, 3).tanh())), x)


# ------------------------------------------------------------------------ form


@wrong()
def returns_none(model: nn.Module, x: Tensor) -> Jacobian:
    right(model, x)


@altered()
def wrong_dtype(j: Tensor) -> Tensor:
    return j.double()


@altered()
def samples_behind_classes(j: Tensor) -> Tensor:
    return j.transpose(0, 1)


@wrong()
def wrong_names(model: nn.Module, x: Tensor) -> Jacobian:
    return {f"module.{name}": j for name, j in right(model, x).items()}


@wrong()
def no_biases(model: nn.Module, x: Tensor) -> Jacobian:
    return {name: j for name, j in right(model, x).items() if not name.endswith("bias")}


@wrong()
def raises_for_one_sample(model: nn.Module, x: Tensor) -> Jacobian:
    if len(x) == 1:
        raise IndexError("Dimension out of range")
    return right(model, x)


# ------------------------------------------------------------------- batching


@wrong("batching")
def wrong_for_17_samples(model: nn.Module, x: Tensor) -> Jacobian:
    return {name: 2 * j if len(x) == 17 else j for name, j in right(model, x).items()}


@wrong("batching")
def raises_for_an_even_number_of_samples(model: nn.Module, x: Tensor) -> Jacobian:
    if len(x) % 2 == 0 and len(x) > 2:
        raise ValueError("an odd number is needed")
    return right(model, x)


# --------------------------------------------------------------------- layout


def _read_as_contiguous(t: Tensor) -> Tensor:
    """What lies in memory from the first element on, as far as there is enough."""
    whole = t.untyped_storage().nbytes() // t.element_size() - t.storage_offset()
    return t.detach().as_strided(t.shape, torch.empty(t.shape).stride()) if whole >= t.numel() else t


@wrong("layout")
def inputs_read_as_contiguous(model: nn.Module, x: Tensor) -> Jacobian:
    return right(model, x if x.is_neg() else _read_as_contiguous(x))


@wrong("layout")
def parameters_read_as_contiguous(model: nn.Module, x: Tensor) -> Jacobian:
    model = deepcopy(model), dict(model.named_parameters())
    for name, p in model[0].named_parameters():
        p.data = _read_as_contiguous(model[1][name])
    return right(model[0], x)


@wrong("layout")
def storage_offset_forgotten(model: nn.Module, x: Tensor) -> Jacobian:
    return right(model, x if x.is_neg() else x.detach().as_strided(x.shape, x.stride(), 0))


# -------------------------------------------------------------------- sequence

_calls: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
_results: WeakKeyDictionary[nn.Module, Jacobian] = WeakKeyDictionary()
_busy: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@wrong("sequence")
def wrong_in_the_second_call(model: nn.Module, x: Tensor) -> Jacobian:
    _calls[model] = _calls.get(model, 0) + 1
    return {name: 2 * j if _calls[model] == 2 else j for name, j in right(model, x).items()}


@wrong("sequence")
def accumulates_over_calls(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    before = _results.get(model, {})
    _results[model] = {
        name: j + before[name] if name in before and before[name].shape == j.shape else j for name, j in J.items()
    }
    return _results[model]


_by_model: WeakKeyDictionary[nn.Module, tuple[Tensor, Jacobian]] = WeakKeyDictionary()


@wrong("sequence")
def remembers_the_result(model: nn.Module, x: Tensor) -> Jacobian:
    """Until the input changes; an update of the parameters doesn't count."""
    if model not in _by_model or _by_model[model][0] is not x:
        _by_model[model] = x, right(model, x)
    return _by_model[model][1]


@wrong("sequence")
def broken_by_an_exception(model: nn.Module, x: Tensor) -> Jacobian:
    J = {name: 0 * j if _busy.get(model) else j for name, j in _guarded(model, x).items()}
    return J


def _guarded(model: nn.Module, x: Tensor) -> Jacobian:
    try:
        return right(model, x)
    except Exception:
        _busy[model] = True
        raise


@wrong("sequence")
def wrong_in_another_thread(model: nn.Module, x: Tensor) -> Jacobian:
    return {name: j if current_thread() is main_thread() else j / 2 for name, j in right(model, x).items()}


@wrong("sequence")
def adds_what_grad_holds(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    grads = {name: p.grad for name, p in model.named_parameters()}
    return {name: j if grads[name] is None else j + grads[name] for name, j in J.items()}


@wrong("sequence")
def keeps_parameters_as_they_were(model: nn.Module, x: Tensor) -> Jacobian:
    """A copy of the model, made in the first call, and never again."""
    if model not in _copies:
        _copies[model] = deepcopy(model)
    return right(_copies[model].to(x.dtype), x)


_copies: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


# ------------------------------------------------------- state and determinism


@wrong("state")
def leaves_grad(model: nn.Module, x: Tensor) -> Jacobian:
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    return right(model, x)


@wrong("state")
def leaves_an_attribute(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    for name, p in model.named_parameters():
        p.grad_batch = J.get(name)
    return J


@wrong("state")
def leaves_a_hook(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    model.register_forward_hook(lambda *_: None)
    return J


@wrong("state")
def draws_random_numbers(model: nn.Module, x: Tensor) -> Jacobian:
    torch.rand(1)
    return right(model, x)


@wrong("state")
def sets_a_global_flag(model: nn.Module, x: Tensor) -> Jacobian:
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    return right(model, x)


@wrong("state")
def leaves_eval_mode(model: nn.Module, x: Tensor) -> Jacobian:
    model.train(not model.training)
    return right(model, x)


@wrong("state")
def changes_the_input(model: nn.Module, x: Tensor) -> Jacobian:
    J = right(model, x)
    x.detach().add_(1)
    return J


@wrong("state")
def moves_parameters(model: nn.Module, x: Tensor) -> Jacobian:
    for p in model.parameters():
        p.data = p.detach().clone()
    return right(model, x)


_random = random.Random(0)
_sides = cycle((-math.inf, math.inf))


@altered("determinism")
def nondeterministic(j: Tensor) -> Tensor:
    return j * (1 + _random.random())


@wrong("determinism")
def nondeterministic_in_the_last_place(model: nn.Module, x: Tensor) -> Jacobian:
    side = next(_sides)
    return {name: j.nextafter(torch.full_like(j, side)) for name, j in right(model, x).items()}
