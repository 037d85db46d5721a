"""Opacus' per-sample gradients: one forward and one backward pass for each output."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

from jaccheck._culprit import culprit, described
from jaccheck._errors import Unsupported
from jaccheck.paths import _functional
from jaccheck.paths._path import GRAD_REFUSAL, HOOK_REFUSALS, borrowed, leaf, trainable

_HANDLES = "autograd_grad_sample_hooks"  # where Opacus keeps those of its hooks, on the model
# What it comes to where a layer's weight is no parameter of its own: TorchScript's, or one that a hook computes.
_NO_PARAMETER = ("param must be a Parameter", "no attribute '_current_grad_sample'")


class Opacus:
    """For each output c, the pass of ``f(x)[:, c].sum()`` through a `GradSampleModule`, read from `p.grad_sample`."""

    name = "opacus"
    snippet = """
        from opacus.grad_sample import GradSampleModule


        def jacobian(model, x):
            sampler = GradSampleModule(model, loss_reduction="sum")
            params = {name: p for name, p in model.named_parameters() if p.requires_grad}
            columns = {name: [] for name in params}
            for c in range(model(x).shape[1]):
                sampler.zero_grad(set_to_none=True)
                sampler(x)[:, c].sum().backward()
                for name, p in params.items():
                    columns[name].append(p.grad_sample)  # [N, *p.shape]
            sampler.to_standard_module()
            return {name: torch.stack(column, 1) for name, column in columns.items()}
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``.

        Raises:
            Unsupported: Opacus has no rule for a layer, or its hooks can't be used.
        """
        params = trainable(model)
        J: dict[str, Tensor] = {}
        with borrowed(model), _functional.refusals(model), _refusals(model), _sampled(model) as sampler:
            x = leaf(x)
            c, C = 0, 1
            while c < C:
                f = sampler(x)  # [N, C]; each backward pass uses up what the forward pass has recorded
                C = f.shape[1]
                if not f.requires_grad:
                    return {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
                _, *gradients = torch.autograd.grad(f[:, c].sum(), (x, *params.values()), allow_unused=True)
                for (name, p), gradient in zip(params.items(), gradients, strict=True):
                    if name not in J:
                        J[name] = f.new_empty(*f.shape, *p.shape)
                    column, p.grad_sample = p.grad_sample, None  # type: ignore[attr-defined]
                    if column is None and gradient is not None:
                        layer = described(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[0])
                        raise Unsupported(f"{layer}: Opacus gives no per-sample gradients of {name!r}")
                    if column is None:
                        J[name][:, c].zero_()  # f[:, c] is free of p
                    elif column.shape != J[name][:, c].shape:
                        raise Unsupported(f"{name!r}: Opacus takes {len(column)} samples for {len(x)}")
                    else:
                        J[name][:, c] = column
                c += 1
        return J


@contextmanager
def _sampled(model: nn.Module) -> Iterator[GradSampleModule]:
    """Opacus' hooks are on, and taken off again; attributes stay behind."""
    if isinstance(model, GradSampleModule) or hasattr(model, _HANDLES):
        raise Unsupported(f"{described(model, '')}: Opacus has its hooks on it already; take to_standard_module()")
    try:
        sampler = GradSampleModule(model, loss_reduction="sum")
        for name, module in model.named_modules():
            if module.training or not any(p.requires_grad for p in module.parameters(recurse=False)):
                continue
            if type(module) not in GradSampleModule.GRAD_SAMPLERS:
                raise Unsupported(f"{described(module, name)}: Opacus records nothing of a layer in evaluation mode")
            module.training = True  # no matter to these layers, and put back by whoever has borrowed the model
        yield sampler
    finally:
        for handle in vars(model).pop(_HANDLES, ()):
            handle.remove()


@contextmanager
def _refusals(model: nn.Module) -> Iterator[None]:
    """Turn what Opacus says of a model it can't do into `Unsupported`; a crash stays a crash."""
    try:
        with warnings.catch_warnings():
            # Whether a hook's input requires grad is no matter here, nor what torch says of a refusal of Opacus'.
            warnings.filterwarnings("ignore", message="Full backward hook is firing when gradients are computed")
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
            yield
    except NotImplementedError as error:
        raise Unsupported(f"{culprit(model, error)}: {' '.join(str(error).split())}") from error
    except (AssertionError, AttributeError) as error:
        if not any(words in str(error) for words in _NO_PARAMETER):
            raise
        raise Unsupported(f"{culprit(model, error)}: {error}") from error
    except RuntimeError as error:
        if not any(words in str(error) for words in (*HOOK_REFUSALS, GRAD_REFUSAL)):
            raise
        raise Unsupported(f"{culprit(model, error)}: Opacus' hooks can't be used here: {error}") from error
