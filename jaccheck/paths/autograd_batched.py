"""Many entries of the output in one vectorized backward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jaccheck.paths._path import borrowed, leaf, trainable


class AutogradBatched:
    """``torch.autograd.grad`` with ``is_grads_batched=True``, the entries ``f(x)[n, c]`` being the batch."""

    name = "autograd_batched"

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``."""
        params = trainable(model)
        with borrowed(model):
            f = model(leaf(x))  # [N, C]
            if not f.requires_grad or not f.numel():
                return {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
            J = {name: f.new_empty(f.numel(), *p.shape) for name, p in params.items()}
            size = sum(p.numel() for p in params.values())
            step = max(size // f.shape[0], 256)  # seeds and layers' gradients, [step, N, …], shall not outgrow J
            for start in range(0, f.numel(), step):
                entries = range(f.numel())[start : start + step]
                seeds = f.new_zeros(len(entries), f.numel())
                seeds.diagonal(start).fill_(1)
                gradients = torch.autograd.grad(
                    f,
                    tuple(params.values()),
                    seeds.view(-1, *f.shape),
                    retain_graph=True,
                    allow_unused=True,
                    is_grads_batched=True,
                )
                for j, gradient in zip(J.values(), gradients, strict=True):
                    if gradient is None:
                        j[start : start + step].zero_()
                    else:
                        j[start : start + step].copy_(gradient)
        return {name: j.view(*f.shape, *params[name].shape) for name, j in J.items()}
