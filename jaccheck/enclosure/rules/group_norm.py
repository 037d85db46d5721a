"""Group normalization: the channels of each group by their own mean and variance."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball, up
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.broadcast import per_sample, summed_to
from jaccheck.enclosure.rules.layer_norm import LayerNorm


class GroupNorm(LayerNorm):
    """Layer normalization of ``[N, groups, n]``, with γ and β for each channel; torch multiplies s and γ first."""

    def __init__(self, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> None:
        super().__init__((), weight, bias, eps)
        self.groups, self.channels = groups, (weight, bias)

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:  # [N, channels, …]
        if z.centre.dim() < 2 or not z.shape[1:].numel():
            raise Unsupported(f"no enclosure for a group normalization of {list(z.shape)}")
        self.before = z.shape[1:]
        self.n = self.before.numel() // self.groups
        self.shape = (self.n,)
        weight, self.bias = (None if t is None else self._spread(t.detach()) for t in self.channels)
        self.gamma = None if weight is None else Ball.exact(weight)
        normalized = super().forward(fl, z.moved(lambda t: t.reshape(len(t), self.groups, self.n)))
        return normalized.moved(lambda t: t.reshape(len(t), *self.before))

    def _spread(self, t: Tensor) -> Tensor:
        """Of a number for each channel, ``[groups, n]``."""
        return t.reshape(-1, *[1] * (len(self.before) - 1)).expand(self.before).reshape(self.groups, self.n)

    def _grouped(self, D: Ball) -> Ball:
        return D.moved(lambda t: t.reshape(*t.shape[:2], self.groups, self.n))

    @property
    def tangent_loss(self) -> Tensor:
        return super().tangent_loss.reshape(-1, 1, *self.before)

    def vjp(self, fl: Arithmetic, D: Ball) -> tuple[Ball, ...]:
        (to_z,) = super().vjp(fl, self._grouped(D))
        return (to_z.moved(lambda t: t.reshape(*t.shape[:2], *self.before)),)

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        weight, bias = self.channels
        found: list[tuple[Tensor, Jacobian]] = []
        if weight is not None:
            found.append((weight, self._of_channels(fl, self.times_normalized(fl, self._grouped(D)))))
        if bias is not None:
            found.append((bias, self._of_channels(fl, D)))
        return tuple(found)

    def times_normalized(self, fl: Arithmetic, D: Ball) -> Ball:  # [N, C, groups, n]
        """Or as s (Σ D z - m Σ D): of each of a channel's terms three products and as many sums as there are terms."""
        terms = super().times_normalized(fl, D)
        w, most = (per_sample(t, D.centre.dim()) for t in (self.w, self.most))
        rounding = fl.gamma(self.before[1:].numel() + 4) * D.mag * w * most
        radius = up(terms.radius + rounding, fl.eta * (1 + w * most))
        return fl.within(Ball(terms.centre, radius, terms.reach), D.mag * (1 + w) * (1 + most))

    def _of_channels(self, fl: Arithmetic, terms: Ball) -> Direct:
        channels = [self.before[0], *[1] * (len(self.before) - 1)]
        whole = terms.moved(lambda t: t.reshape(*t.shape[:2], *self.before))
        return Direct(summed_to(fl, whole, channels).moved(lambda t: t.flatten(2)))


@rule(nn.GroupNorm, F.group_norm)
def group_norm(
    input: Wire, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> GroupNorm:
    return GroupNorm(num_groups, weight, bias, eps)
