"""The path everyone would write first: one backward pass for each entry of the output."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jaccheck.paths._path import borrowed, leaf, trainable


class Autograd:
    """For each sample n and output c, one ``torch.autograd.grad`` of ``f(x)[n, c]``."""

    name = "autograd"
    snippet = """
        def jacobian(model, x):
            params = {name: p for name, p in model.named_parameters() if p.requires_grad}
            f = model(x)  # [N, C]
            J = {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
            for n in range(f.shape[0]):
                for c in range(f.shape[1]):
                    rows = torch.autograd.grad(f[n, c], list(params.values()), retain_graph=True, allow_unused=True)
                    for name, row in zip(params, rows):
                        J[name][n, c] = 0 if row is None else row
            return J
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``."""
        params = trainable(model)
        with borrowed(model):
            f = model(leaf(x))  # [N, C]
            if not f.requires_grad:
                return {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
            J = {name: f.new_empty(*f.shape, *p.shape) for name, p in params.items()}
            inputs = tuple(params.values())
            for n in range(f.shape[0]):
                rows = zip(*(j[n].unbind() for j in J.values()), strict=True)
                for c, row in enumerate(rows):
                    # not f with a seed that is 1 at [n, c]: torch's first call with a seed imports sympy, 0.5 s
                    gradients = torch.autograd.grad(f[n, c], inputs, retain_graph=True, allow_unused=True)
                    for entry, gradient in zip(row, gradients, strict=True):
                        if gradient is None:
                            entry.zero_()
                        else:
                            entry.copy_(gradient)
        return J
