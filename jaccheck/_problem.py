"""Which model and input can be judged, and what is wrong with the others."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

from jaccheck._chance import generators, seed_under_way, seeded
from jaccheck._culprit import culprit, described
from jaccheck._errors import InvalidProblem
from jaccheck._state import Snapshot

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""The dtypes that a problem may have."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A model and an input that `admit` has let in."""

    model: nn.Module
    x: Tensor  # [N, *features]
    output: Tensor  # f(x), [N, C], detached
    before: Snapshot  # how everything was when it was let in
    seed: int | None = None  # with which random numbers begin, where f(x) depends on any

    @property
    def N(self) -> int:
        """The batch size."""
        return self.output.shape[0]

    @property
    def C(self) -> int:
        """The output dimension."""
        return self.output.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """That of the input, the output and all parameters."""
        return self.x.dtype

    @property
    def device(self) -> torch.device:
        """That of the input, the output and all parameters."""
        return self.x.device

    def chance(self) -> AbstractContextManager[None]:
        """Inside, layers of chance draw what they drew for `output`."""
        return seeded(self.seed, self.device)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each parameter's Jacobian, ``[N, C, *p.shape]``."""
        return {name: (self.N, self.C, *p.shape) for name, p in self.parameters.items()}

    @cached_property
    def elements(self) -> int:
        """Entries of all its Jacobians."""
        return self.N * self.C * self.size

    @property
    def size(self) -> int:
        """Numbers in all the parameters that require grad."""
        return sum(p.numel() for p in self.parameters.values())

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters that require grad, by name; tied ones once, under their first name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}


def admit(model: nn.Module, x: Tensor, *, seed: int | None = None, seedable: bool = True) -> Problem:
    """Let `model` and `x` in, after one forward pass that leaves no trace.

    Args:
        model: maps ``[N, *features]`` to f(x), ``[N, C]``.
        x: ``[N, *features]``, in the dtype and on the device of the parameters; N may be 0.
        seed: with which random numbers begin; None lets no layers in that need any, unless it is a path that asks, in
            the middle of its call: they begin as they did for that call.
        seedable: whether who calls might name a seed; else the message doesn't ask for one.
    Raises:
        InvalidProblem: they can't be used; the message says why and what to do. An exception of the model's own is
            its cause.
    """
    seed = seed_under_way() if seed is None else seed
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise InvalidProblem(f"the model is the class {model.__name__}; pass an instance, {model.__name__}(…)")
    if not isinstance(model, nn.Module):
        raise InvalidProblem(f"the model is a {type(model).__name__}, but should be a torch.nn.Module")
    if not isinstance(x, Tensor):
        raise InvalidProblem(f"the input is a {type(x).__name__}, but should be a torch.Tensor; see torch.as_tensor")
    parameters = dict(model.named_parameters())
    if not parameters:
        raise InvalidProblem("the model has no parameters, so that there is no Jacobian to check")
    _check_tensor("x", x)
    for name, p in parameters.items():
        if is_lazy(p):
            raise InvalidProblem(f"parameter {name!r} has no shape yet; call the model once on a batch")
        _check_tensor(f"parameter {name!r}", p)
    _check_alike(parameters, x)
    if not any(p.requires_grad for p in parameters.values()):
        raise InvalidProblem("no parameter of the model requires grad; call model.requires_grad_() first")
    for name, tensor in (*parameters.items(), *model.named_buffers()):
        if tensor.is_inference():
            raise InvalidProblem(
                f"{name!r} has been made under torch.inference_mode(), where autograd can't use it; "
                "make the model outside of it"
            )
    if not x.ndim:
        raise InvalidProblem("x is a scalar, but should be a batch, [N, *features]; try x.reshape(1, 1)")
    _check_seed(seed)
    unfit = [(described(layer, name), layer) for name, layer in model.named_modules() if _depends_on_mode(layer, seed)]
    if unfit:
        or_seed = ", or pass a seed" if seedable and all(_draws(layer) for _, layer in unfit) else ""
        raise InvalidProblem(
            "the model is in training mode, and f(x) is no function of x alone in "
            f"{_listed([words for words, _ in unfit])}; call model.eval() first{or_seed}"
        )
    mixing = [described(layer, name) for name, layer in model.named_modules() if _mixes_samples(layer)]
    if mixing:
        raise InvalidProblem(
            f"{_listed(mixing)} mixes the samples, in any mode, as it keeps no running statistics; "
            "make it with track_running_stats=True, and train it"
        )
    before = _snapshot(model, x)
    output, draws = _output(model, x, before, seed, seedable)
    return Problem(model, x, output, before, seed if draws else None)


def _check_tensor(what: str, tensor: Tensor) -> None:
    if tensor.is_nested:
        raise InvalidProblem(f"{what} is a nested tensor; take torch.nested.to_padded_tensor(…) of it")
    if tensor.layout != torch.strided:
        raise InvalidProblem(f"{what} is a sparse tensor; call to_dense() on it")
    if tensor.is_quantized:
        raise InvalidProblem(f"{what} is quantized; call dequantize() on it")
    if tensor.is_meta:
        raise InvalidProblem(f"{what} is on the meta device and holds no numbers; move it to a real one")
    if tensor.dtype not in DTYPES:
        supported = ", ".join(_name(dtype) for dtype in DTYPES)
        raise InvalidProblem(f"{what} is {_name(tensor.dtype)}, but should be one of {supported}")


def _check_alike(parameters: Mapping[str, Tensor], x: Tensor) -> None:
    first = next(iter(parameters))
    for name, p in parameters.items():
        for what, mine, other in (
            ("dtype", p.dtype, parameters[first].dtype),
            ("device", p.device, parameters[first].device),
        ):
            if mine != other:
                raise InvalidProblem(
                    f"parameter {name!r} has {what} {_name(mine)}, {first!r} {_name(other)}; "
                    f"use one {what}, as by model.to({_argument(other)})"
                )
    for what, mine, other in (
        ("dtype", x.dtype, parameters[first].dtype),
        ("device", x.device, parameters[first].device),
    ):
        if mine != other:
            raise InvalidProblem(
                f"x has {what} {_name(mine)}, the parameters {_name(other)}; use x.to({_argument(other)})"
            )


def _check_seed(seed: object) -> None:
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
        raise InvalidProblem(f"the seed is {seed!r}, but should be an integer from 0 to 2**63 - 1, or None")


def _depends_on_mode(layer: nn.Module, seed: int | None) -> bool:
    """Whether, as it is in training mode, it mixes the samples, changes by being called, or is left to mere chance."""
    if not layer.training:
        return False
    if isinstance(layer, _BatchNorm):
        return True
    if isinstance(layer, _InstanceNorm):
        return layer.track_running_stats
    return seed is None and _draws(layer)


def _draws(layer: nn.Module) -> bool:
    """Whether it needs random numbers in training mode."""
    if isinstance(layer, _DropoutNd):
        return 0 < layer.p < 1
    return isinstance(layer, nn.RReLU) or (isinstance(layer, (nn.RNNBase, nn.MultiheadAttention)) and layer.dropout > 0)


def _mixes_samples(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and layer.running_mean is None


def _snapshot(model: nn.Module, x: Tensor) -> Snapshot:
    try:
        return Snapshot.take(model, x)
    except (RuntimeError, MemoryError) as error:
        said = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and "memory" not in said:  # torch has no class of its own for the CPU's
            raise
        raise InvalidProblem(f"there is no memory for a copy of the model and x, {list(x.shape)}: {said}") from error


def _output(model: nn.Module, x: Tensor, before: Snapshot, seed: int | None, seedable: bool) -> tuple[Tensor, bool]:
    """f(x), and whether random numbers were drawn for it."""
    try:
        with _spoken(model), torch.inference_mode(False), torch.no_grad(), seeded(seed, x.device):
            first = None if seed is None else [generator.get_state() for generator in generators(x.device)]
            output = model(x)
            draws = first is not None and any(
                not torch.equal(generator.get_state(), state)
                for generator, state in zip(generators(x.device), first, strict=True)
            )
        if before.input_changed():
            raise InvalidProblem("the model changes its input in place; use inplace=False in its first layers")
    finally:
        own = before.undone()
        before.expect(own)
    output = _checked(output, x)
    if any("random state" in change for change in own):
        _check_chance(model, x, output, before, seed, seedable)
    return output, draws


@contextmanager
def _spoken(model: nn.Module) -> Iterator[None]:
    """What the forward pass of `model` raises, as an InvalidProblem."""
    try:
        yield
    except InvalidProblem:
        raise
    except (Exception, SystemExit) as error:
        raised = f"{type(error).__name__} in {culprit(model, error)}: {' '.join(str(error).split())}"
        raise InvalidProblem(f"the model's forward pass raises {raised}") from error


def _check_chance(
    model: nn.Module, x: Tensor, output: Tensor, before: Snapshot, seed: int | None, seedable: bool
) -> None:
    """A model that draws may do so for nothing, or have a seed for it; else f(x) isn't a function of x."""
    try:
        with _spoken(model), torch.inference_mode(False), torch.no_grad(), seeded(seed or 0, x.device):
            if seed is None:
                torch.rand(7, device=x.device)
            random.seed(0)
            if "numpy.random" in sys.modules:
                sys.modules["numpy.random"].seed(0)
            again = _checked(model(x), x)
    finally:
        before.undone()
    if again.shape != output.shape or not torch.allclose(again, output, rtol=0, atol=0, equal_nan=True):
        what = (
            f"{'pass a seed, or ' if seedable else ''}draw them beforehand"
            if seed is None
            else "the seed is for torch's alone; draw others beforehand"
        )
        raise InvalidProblem(f"f(x) depends on random numbers that its forward pass draws; {what}")


def _checked(output: object, x: Tensor) -> Tensor:
    """f(x), which should be one tensor, [N, C], of the same kind as `x`."""
    if not isinstance(output, Tensor):
        raise InvalidProblem(f"f(x) is a {type(output).__name__}, but should be one tensor, [N, C]")
    shape = list(output.shape)
    if output.layout != torch.strided:
        raise InvalidProblem("f(x) is a sparse tensor, but should be dense")
    if output.ndim < 2 and x.ndim == 1:
        raise InvalidProblem(f"x has shape {list(x.shape)}, and no batch dimension; use x.unsqueeze(0)")
    if output.ndim == 1 and output.shape == x.shape[:1]:
        raise InvalidProblem(f"f(x) has shape {shape}, but should be [N, C]; append torch.nn.Unflatten(0, (-1, 1))")
    if output.ndim > 2:
        raise InvalidProblem(f"f(x) has shape {shape}, but should be [N, C]; append torch.nn.Flatten() to the model.")
    if output.ndim != 2:
        raise InvalidProblem(f"f(x) has shape {shape}, but should be [N, C]")
    if output.shape[0] != x.shape[0]:
        raise InvalidProblem(
            f"f(x) has shape {shape} and x {list(x.shape)}: {output.shape[0]} rows for {x.shape[0]} samples"
        )
    if not output.shape[1]:
        raise InvalidProblem(f"f(x) has shape {shape}, and no outputs to differentiate")
    if output.dtype != x.dtype or output.device != x.device:
        raise InvalidProblem(
            f"f(x) is {_name(output.dtype)} on {output.device}, but x and the parameters are {_name(x.dtype)} on "
            f"{x.device}; take casts, and torch.autocast, away"
        )
    return output.detach()


def _name(kind: torch.dtype | torch.device) -> str:
    return str(kind).removeprefix("torch.")


def _argument(kind: torch.dtype | torch.device) -> str:
    return str(kind) if isinstance(kind, torch.dtype) else repr(str(kind))


def _listed(items: list[str]) -> str:
    return ", ".join(items[:4]) + (f" and {len(items) - 4} more" if len(items) > 4 else "")
