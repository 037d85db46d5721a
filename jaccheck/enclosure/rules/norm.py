"""Euclidean norms over feature axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up
from jaccheck.enclosure.rules._activation import FUNCTION
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule, same_dtype
from jaccheck.enclosure.rules.broadcast import per_sample
from jaccheck.enclosure.rules.copied import behind_the_batch
from jaccheck.enclosure.rules.quotient import quotient


class Norm(NoParameters):
    """``y = √(Σ z²)``, so that ``∂y/∂z = z / y``; of that nothing is known where y may be 0."""

    def __init__(self, dims: Sequence[int], keepdim: bool) -> None:
        self.dims, self.keepdim = dims, keepdim

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        self.z, self.axes = z, tuple(behind_the_batch("a norm", self.dims, z.centre.dim()))
        self.n = torch.Size(z.shape[axis] for axis in self.axes).numel()
        y, most = _norm(z.centre, self.axes), _norm(z.mag, self.axes)
        # A shift δ of z moves y by √(Σ δ²) at most. Squares and their sum round by γ(n), of which the root has half,
        # and the root itself as a function; where squares underflow, Σ is n η off, and y by √(n η), or by n η / y.
        lost = torch.minimum(self.n * fl.eta / y, torch.full_like(y, (self.n * fl.eta) ** 0.5))
        radius = up(_norm(z.radius, self.axes) + fl.gamma(self.n + FUNCTION) * most, lost)
        self.y = fl.rounded(Ball(y, torch.where(most.square() < fl.opmath_largest, radius, inf)))
        self.unit = quotient(fl, z, self.y)
        self.inverse = torch.where(self.y.centre > self.y.radius, 1 / (self.y.centre - self.y.radius), inf)
        return self.y if self.keepdim else self.y.moved(lambda t: t.squeeze(self.axes))

    @property
    def gain(self) -> float:
        """Of ``Σ z τ / y``, and of that sum before it is divided."""
        return self.n * (1 + float(self.z.mag.max())) if self.z.centre.numel() else 1.0

    @property
    def tangent_loss(self) -> Tensor:
        """n products z τ underflow, and their sum is divided by y."""
        loss = self.n * self.inverse
        return (loss if self.keepdim else loss.squeeze(self.axes))[:, None]

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        if not self.keepdim:
            D = D.moved(lambda t: t.reshape(*t.shape[:2], *self.y.shape[1:]))
        dim = D.centre.dim()
        size, inverse = (per_sample(t, dim) for t in (self.z.mag, self.inverse))
        # D (z / y), or (D z) / y, or (D / y) z: what underflows first is multiplied by D, 1 / y, or z; in forward mode
        # n products are summed
        product = fl.product(D, per_sample(self.unit, dim), k=self.n + 2, underflows=D.mag + inverse + size)
        return (fl.within(product, D.mag * (self.n * size + inverse)),)


def _norm(t: Tensor, axes: tuple[int, ...]) -> Tensor:
    return t.square().sum(axes, keepdim=True).sqrt()


def _rule(what: object, dim: int | Sequence[int] | None, keepdim: bool) -> Norm:
    if what not in (2, "fro", None) or dim is None:
        raise Unsupported("no enclosure for a norm, unless it is the Euclidean one over named axes")
    return Norm([dim] if isinstance(dim, int) else list(dim), keepdim)


@rule(torch.norm, "norm")
def norm(
    input: Wire,
    p: float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    out: None = None,
    dtype: object = None,
) -> Norm:
    same_dtype("a norm", dtype)
    return _rule(p, dim, keepdim)


@rule(torch.linalg.vector_norm)
def vector_norm(
    x: Wire, ord: float = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: object = None
) -> Norm:
    same_dtype("a norm", dtype)
    return _rule(ord, dim, keepdim)
