"""Layer normalization: the last axes of each sample by their own mean and variance."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import UP, Ball, up
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._activation import FUNCTION
from jaccheck.enclosure.rules._moments import Moments
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.broadcast import per_sample, summed_to


class LayerNorm:
    """``a = n γ + β`` with ``n = s (z - m)``, m and v mean and variance of n numbers, ``s = 1 / √(v + ε)``.

    ``∂f/∂z = s (P - mean P - n mean(P n))`` with ``P = D γ``. Kernels differ in how they put this together: a variance
    may be a mean of squares less the square of the mean, and torch's backward pass has ``b z + c`` for the last two
    terms, where ``b = s³ (m mean P - mean(P z))``. So what rounds is bounded by the magnitudes of all these terms: by
    what they are with ``w = |z| + |m|`` in place of ``z - m``.
    """

    about_mean = True

    def __init__(self, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
        self.weight, self.bias, self.eps = weight, bias, eps
        self.shape, self.n = tuple(shape), prod(shape)
        self.gamma = None if weight is None else Ball.exact(weight)

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:  # [N, …, *shape]
        if z.centre.dim() <= len(self.shape) or z.shape[-len(self.shape) :] != self.shape or not self.n:
            raise Unsupported(f"no enclosure for a layer normalization of {list(z.shape)} by {list(self.shape)}")
        self.moments = moments = Moments(fl, z, self.axes, about_mean=self.about_mean)
        self.w, away, away_off = moments.w, moments.away.centre, moments.away.radius
        total = moments.variance.centre + self.eps
        least = total - moments.variance.radius - fl.gamma(2) * (total + moments.variance.radius)
        s = total.rsqrt()
        most = torch.where(least > 0, least.rsqrt(), inf)
        self.s = Ball(s, up(most - s, fl.gamma(FUNCTION + 2) * most + 4 * fl.eta))
        self.most, self.largest = self.s.mag, fl.largest
        self.known = moments.known & (self.most < fl.largest)
        lost = fl.eta * (4 + self.w + self.most)
        off = away.abs() * self.s.radius + away_off * self.most + fl.gamma(4) * self.w * self.most
        self.normalized = Ball(away * s, torch.where(self.known, up(off, lost), inf))
        reach = self.w * self.most
        value = self.normalized
        if self.gamma is not None:
            value, reach = fl.product(value, self.gamma, k=2), reach * self.gamma.mag
        if self.bias is not None:
            beta = Ball.exact(self.bias)
            value, reach = fl.added(value, beta), reach + beta.mag
        # (z s - m s) γ + β rounds terms of that magnitude
        return fl.within(fl.rounded(Ball(value.centre, up(value.radius + fl.gamma(4) * reach))), reach)

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.shape), 0))

    @property
    def gain(self) -> float:
        """Two of the three terms are τ and its mean, and in the third ``|n|`` is √n at most.

        Where squares may overflow, or s³, so may a tangent.
        """
        if not self.known.all() or not (self.most**3 < self.largest).all():
            return inf
        largest = 1.0 if self.gamma is None else float(self.gamma.mag.max())
        return (3 + sqrt(self.n)) * largest * float(self.most.max()) if self.most.numel() else 1.0

    @property
    def tangent_loss(self) -> Tensor:
        """Of ``γ (s (τ - mean τ) - (z - m) s³ mean((z - m) τ))``, with the factors in any order.

        The last product has eight factors, of which s and w are three and two, so that what underflows, η each, is
        multiplied by no more than ``(1 + s)³ (1 + w)² (1 + γ)``; there are three operations on τ, and three means.
        """
        most, w = (per_sample(t, t.dim() + 1) for t in (self.most, self.w))
        gamma = 0.0 if self.gamma is None else self.gamma.mag
        return 12 * (1 + most) ** 3 * (1 + w) ** 2 * (1 + gamma)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:  # [N, C, …, *shape]
        P = D if self.gamma is None else fl.product(D, self.gamma)
        dim = D.centre.dim()
        n, s = per_sample(self.normalized, dim), per_sample(self.s, dim)
        w, most, known = (per_sample(t, dim) for t in (self.w, self.most, self.known))
        mean, mean_off = (self.moments.mean(t) * self.about_mean for t in (P.centre, P.radius))
        along = self.moments.mean(P.centre * n.centre)
        along_off = self.moments.mean(P.centre.abs() * n.radius + P.radius * n.mag)
        inner = P.centre - mean - n.centre * along
        inner_off = P.radius + mean_off + n.mag * along_off + n.radius * along.abs()
        cubed = most**3 * w
        sums = self.moments.mean(P.mag * w)
        terms = most * (P.mag + self.moments.mean(P.mag)) + cubed * sums
        # a mean of n terms, each a product of at most eight factors, put together by as many more operations
        radius = inner_off * most + s.radius * inner.abs() + fl.gamma(self.n + 16) * terms
        # η for each of as many, times what is multiplied with s³, or s² or s, when it underflows, and with b
        gamma = 0.0 if self.gamma is None else self.gamma.mag  # by which D s, D z and s are multiplied, too
        lost = 8 * fl.eta * (1 + gamma) * (1 + most + cubed + w + self.n * sums * w * (1 + most + most**2) + D.mag)
        radius = torch.where(known, up(radius, lost), inf)
        reach = None if D.reach is None else terms * UP
        # D is multiplied by s or z before γ, P and each mean by n before s/n; and b, as torch has it, is divided by n
        # only after its sums, and these times s, s² and s³; or ``(z - m) s n mean(P n)`` is, where s is in n as well
        before_n = P.mag + (1 + most) * self.moments.mean(P.mag) + (1 + most**3 + most**2 * w) * sums
        on_the_way = terms + cubed + most**3 + most * gamma + D.mag * (w + most) + self.n * before_n
        return (fl.within(fl.rounded(Ball(s.centre * inner, radius, reach)), on_the_way),)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        found: list[tuple[Tensor, Jacobian]] = []
        if self.weight is not None:
            found.append((self.weight, Direct(summed_to(fl, self.times_normalized(fl, D), self.shape))))
        if self.bias is not None:
            found.append((self.bias, Direct(summed_to(fl, D, self.shape))))
        return tuple(found)

    def times_normalized(self, fl: Arithmetic, D: Ball) -> Ball:
        """``D n``, the terms of the weight's Jacobian: D is multiplied by z - m and s, in either order."""
        dim = D.centre.dim()
        factors = per_sample(self.most + self.w, dim)
        terms = fl.product(D, per_sample(self.normalized, dim), k=2, underflows=factors)
        return fl.within(terms, D.mag * factors)


@rule(nn.LayerNorm, F.layer_norm)
def layer_norm(
    input: Wire,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> LayerNorm:
    return LayerNorm(normalized_shape, weight, bias, eps)
