"""Many entries of the output in one vectorized backward pass."""

from __future__ import annotations

import torch
import torch.fx.experimental.symbolic_shapes  # torch's first call with a seed does so, and changes the warnings filters
from torch import Tensor, nn

from jaccheck.paths._path import apart, borrowed, leaf, trainable


class AutogradBatched:
    """``torch.autograd.grad`` with ``is_grads_batched=True``, the entries ``f(x)[n, c]`` being the batch."""

    name = "autograd_batched"
    snippet = """
        def jacobian(model, x):
            params = {name: p for name, p in model.named_parameters() if p.requires_grad}
            f = model(x)  # [N, C]
            seeds = torch.eye(f.numel()).to(f).view(-1, *f.shape)
            rows = torch.autograd.grad(f, list(params.values()), seeds, is_grads_batched=True)
            return {name: row.view(*f.shape, *p.shape) for (name, p), row in zip(params.items(), rows)}
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``."""
        params = trainable(model)
        with borrowed(model):
            f = model(leaf(x))  # [N, C]
            if not f.requires_grad or not f.numel():
                return {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
            # The seeds, and the layers' gradients, [step, N, …], shall not outgrow J.
            step = min(max(sum(p.numel() for p in params.values()) // f.shape[0], 256), f.numel())
            J = _rows(f, list(params.values()), 0, step)
            if step < f.numel():
                first, J = J, [f.new_empty(f.numel(), *p.shape) for p in params.values()]
                for start in range(0, f.numel(), step):
                    rows = _rows(f, list(params.values()), start, step) if start else first
                    for j, row in zip(J, rows, strict=True):
                        j[start : start + step] = row[: f.numel() - start]
        return apart({name: j.view(*f.shape, *p.shape) for (name, p), j in zip(params.items(), J, strict=True)})


def _rows(f: Tensor, params: list[nn.Parameter], start: int, step: int) -> list[Tensor]:
    """The gradients of the entries of f from `start` on, counted row by row, ``[step, *p.shape]`` each.

    Behind the last entry they are 0: a gradient that the model retains adds up, and so has one shape in all calls.
    """
    seeds = f.new_zeros(step, f.numel())
    seeds.diagonal(start).fill_(1)
    rows = torch.autograd.grad(
        f, params, seeds.view(-1, *f.shape), retain_graph=True, allow_unused=True, is_grads_batched=True
    )
    return [f.new_zeros(step, *p.shape) if row is None else row for p, row in zip(params, rows, strict=True)]
