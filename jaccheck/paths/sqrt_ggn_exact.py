"""BackPACK's square root of the generalized Gauss-Newton matrix: one backward pass for everything."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from typing import Literal

import torch
from backpack import extensions
from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck.paths._backpack import backward, extended, no_rule, refusals
from jaccheck.paths._path import borrowed, leaf, trainable


class SqrtGGNExact:
    """One backward pass of the squared error ``MSELoss(f(x), 0)`` under BackPACK's `SqrtGGNExact`.

    The Hessian of the squared error is 2 times the identity, its square root √2, so that the square root of the GGN
    is √2 times the transposed Jacobian (Dangel 2021, section 2). With `reduction` ``"mean"`` the factor is √2/√(N C).
    """

    # At most three each: √2 in the dtype and its way into BackPACK's matrix; the division, and √2 in the dtype again.
    extra_roundings = 6

    def __init__(self, reduction: Literal["sum", "mean"] = "sum") -> None:
        if reduction not in ("sum", "mean"):
            raise ValueError(f"reduction is {reduction!r}, but should be 'sum' or 'mean'")
        self.reduction = reduction
        self.name = "sqrt_ggn_exact" if reduction == "sum" else "sqrt_ggn_exact_mean"

    @property
    def snippet(self) -> str:
        """How to call it without jaccheck."""
        factor = "sqrt(2)" if self.reduction == "sum" else "(sqrt(2) / sqrt(f.numel()))"
        return f"""
            from math import sqrt

            from backpack import backpack, extend
            from backpack.extensions import SqrtGGNExact


            def jacobian(model, x):
                params = {{name: p for name, p in model.named_parameters() if p.requires_grad}}
                f = extend(model)(x.requires_grad_())  # [N, C]
                with backpack(SqrtGGNExact()):
                    extend(nn.MSELoss(reduction="{self.reduction}"))(f, torch.zeros_like(f)).backward()
                return {{name: (p.sqrt_ggn_exact / {factor}).transpose(0, 1) for name, p in params.items()}}
        """

    def exact(self, N: int, C: int) -> bool:
        """Whether the factor √2/√(N C) is a power of two: then BackPACK's matrix is, and so is the division."""
        half, odd = divmod(N * C, 2)
        return self.reduction == "mean" and not odd and half.bit_count() == 1 and half.bit_length() % 2 == 1

    def exactly(self, N: int, C: int) -> SqrtGGNExact | None:
        """This path with ``reduction="mean"``, where it is exact so."""
        mean = SqrtGGNExact(reduction="mean")
        return mean if mean.exact(N, C) else None

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``, a transposed view.

        Raises:
            Unsupported: BackPACK has no rule for a layer, or its hooks can't be used.
        """
        params = trainable(model)
        loss = nn.MSELoss(reduction=self.reduction)
        with borrowed(model), refusals(model), extended(model, loss):
            x = leaf(x)
            f = model(x)  # [N, C]
            if not f.requires_grad:
                return {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
            if self.reduction == "mean" and not f.numel():
                raise Unsupported("a mean over no samples is not defined")
            for p in params.values():
                vars(p).pop("sqrt_ggn_exact", None)  # the user's own; `borrowed` puts it back
            extension = extensions.SqrtGGNExact()
            _, *gradients = backward(loss(f, torch.zeros_like(f)), (x, *params.values()), extension)
            factor = sqrt(2) if self.reduction == "sum" else sqrt(2) / sqrt(f.numel())
            roots = {name: vars(p).pop("sqrt_ggn_exact", None) for name, p in params.items()}  # [C, N, *p.shape]
            holders = Counter(_memory(V) for V in roots.values() if V is not None)
            J: dict[str, Tensor] = {}
            for (name, V), gradient in zip(roots.items(), gradients, strict=True):
                if V is not None:
                    in_place = holders[_memory(V)] == 1 and _fills_its_memory(V)
                    J[name] = (V.div_(factor) if in_place else V / factor).transpose(0, 1)
                elif gradient is None:
                    J[name] = f.new_zeros(*f.shape, *params[name].shape)  # f is free of p
                else:
                    raise no_rule(model, name, extension, visited=False)  # of a layer, it would have said so
        return J


def _memory(V: Tensor) -> int:
    return V.untyped_storage().data_ptr()


def _fills_its_memory(V: Tensor) -> bool:
    """Not so for a bias of the last layer, say, whose root is BackPACK's starting matrix, expanded over N."""
    return V.is_contiguous() and V.untyped_storage().nbytes() == V.numel() * V.element_size()
