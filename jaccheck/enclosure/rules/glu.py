"""One half of the values times the logistic function of the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up
from jaccheck.enclosure.rules._activation import FUNCTION, Elementwise
from jaccheck.enclosure.rules._rule import NoParameters, Wire, rule
from jaccheck.enclosure.rules.copied import behind_the_batch
from jaccheck.enclosure.rules.sigmoid import SIGMOID


class Gated(NoParameters):
    """``z = a σ(b)``, so that ``∂f/∂a = D σ(b)`` and ``∂f/∂b = D a σ'(b)``."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, fl: Arithmetic, both: Ball) -> Ball:
        (self.axis,) = behind_the_batch("a gated linear unit", [self.dim], both.centre.dim())
        if both.shape[self.axis] % 2:
            raise Unsupported("no enclosure for a gated linear unit of an odd number of values")
        self.a, b = both.moved(lambda t: t.chunk(2, self.axis)[0]), both.moved(lambda t: t.chunk(2, self.axis)[1])
        self.gate = Elementwise(SIGMOID)
        self.sigma = self.gate.forward(fl, b)
        return fl.product(self.a, self.sigma)

    @property
    def gain(self) -> float:
        return 1 + float(self.a.mag.max()) if self.a.centre.numel() else 1.0

    @property
    def tangent_loss(self) -> Tensor:
        """``τ σ'`` underflows in its factors, and is multiplied by a."""
        return 3 * (1 + self.a.mag[:, None])

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        a, sigma, psi = (t.moved(lambda s: s[:, None]) for t in (self.a, self.sigma, self.gate.psi))
        to_a = fl.product(D, sigma, k=2)
        # The factors D, a, σ and 1 - σ in any order: what underflows is multiplied by D and a. In forward mode it is
        # (a σ) (τ - σ τ), to whose difference the rounding of σ, FUNCTION + 2, and its own add, and that of a σ.
        size = D.mag * a.mag
        to_b = fl.product(fl.product(D, a), psi, k=2, underflows=3 * (1 + D.mag) * (1 + a.mag))
        rounded = up(to_b.radius + fl.gamma(FUNCTION + 4) * size * sigma.mag)
        to_b = fl.within(Ball(to_b.centre, rounded, to_b.reach), size)
        parts = [(to_a.centre, to_b.centre), (to_a.radius, to_b.radius)]
        centre, radius = (torch.cat(halves, self.axis + 1) for halves in parts)
        reach = None if D.reach is None else torch.cat([to_a.mag, to_b.mag], self.axis + 1)
        return (Ball(centre, radius, reach),)


@rule(nn.GLU, F.glu)
def glu(input: Wire, dim: int = -1) -> Gated:
    return Gated(dim)
