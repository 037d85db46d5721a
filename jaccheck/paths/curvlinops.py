"""curvlinops' linear operator of the transposed Jacobian, multiplied with the unit vectors."""

from __future__ import annotations

import torch
from curvlinops import TransposedJacobianLinearOperator
from torch import Tensor, nn

from jaccheck.paths._functional import refusals
from jaccheck.paths._path import borrowed, leaf, trainable


class Curvlinops:
    """``TransposedJacobianLinearOperator(model, parameters, [(x, y)]) @ unit vectors``, many of them at a time."""

    name = "curvlinops"
    snippet = """
        from curvlinops import TransposedJacobianLinearOperator


        def jacobian(model, x):
            params = {name: p for name, p in model.named_parameters() if p.requires_grad}
            f = model(x).detach()
            operator = TransposedJacobianLinearOperator(
                model, list(params.values()), [(x, f)], check_deterministic=False, num_data=len(x)
            )
            seeds = torch.eye(f.numel()).to(f).view(*f.shape, -1)
            return {name: j.movedim(-1, 0).unflatten(0, f.shape) for name, j in zip(params, operator @ [seeds])}
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``, a transposed view.

        Raises:
            Unsupported: torch.func, by which curvlinops multiplies, can't transform the model.
        """
        params = trainable(model)
        with borrowed(model), refusals(model, "'workspace'"):  # which oneDNN's LSTM lacks
            x = leaf(x)
            f = model(x)  # [N, C]
            x = x.detach()
            used = _used(f, params)  # of the others, curvlinops' vmap gets no vectors where it expects some
            if f.numel() and used:
                operator = TransposedJacobianLinearOperator(
                    model, [params[name] for name in used], [(x, f)], check_deterministic=False, num_data=len(x)
                )
                columns = _multiplied(operator, f.detach(), [params[name] for name in used])  # [*p.shape, N C] each
                J = {
                    name: j.movedim(-1, 0).view(*f.shape, *j.shape[:-1]) for name, j in zip(used, columns, strict=True)
                }
            else:
                J = {}
        return {name: J[name] if name in J else f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}


def _used(f: Tensor, params: dict[str, nn.Parameter]) -> list[str]:
    """The parameters that f isn't free of."""
    if not f.requires_grad:
        return []
    gradients = torch.autograd.grad(f.sum(), list(params.values()), allow_unused=True)
    return [name for name, gradient in zip(params, gradients, strict=True) if gradient is not None]


def _multiplied(operator: TransposedJacobianLinearOperator, f: Tensor, params: list[nn.Parameter]) -> list[Tensor]:
    """The products with all unit vectors, of which so many are taken at a time that a layer's don't outgrow J."""
    step = max(sum(p.numel() for p in params) // len(f), 256)
    first: list[Tensor] = operator @ [_unit_vectors(f, range(f.numel())[:step])]
    if step >= f.numel():
        return first
    J = [f.new_empty(*p.shape, f.numel()) for p in params]
    for start in range(0, f.numel(), step):
        entries = range(f.numel())[start : start + step]
        products = operator @ [_unit_vectors(f, entries)] if start else first
        for j, product in zip(J, products, strict=True):
            j[..., entries.start : entries.stop] = product
    return J


def _unit_vectors(f: Tensor, entries: range) -> Tensor:
    """``[N, C, len(entries)]``, for the entries of f, counted row by row."""
    seeds = f.new_zeros(f.numel(), len(entries))
    seeds.diagonal(-entries.start).fill_(1)
    return seeds.view(*f.shape, len(entries))
