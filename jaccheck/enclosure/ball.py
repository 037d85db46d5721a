"""Sets of real tensors, element by element: a centre and a radius."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps  # 2^-52, twice the unit roundoff of float64
TINY = torch.finfo(torch.float64).tiny  # 2^-1022: 2^52 underflows of float64 lose no more

# A radius is a sum of products of non-negative numbers: its m float64 operations cost it at most the relative part
# m 2^-53 (nothing cancels; Higham 2002, 3.1). Each operation on balls therefore ends with this factor, which covers
# m < 2^32, and adds TINY, which covers what underflows.
UP = 1 + 2.0**-20


@dataclass(frozen=True, eq=False)
class Ball:
    """The tensors t with ``|t - centre| <= radius``, element by element.

    Inclusion: for all x in X and y in Y, ``x + y`` lies in ``X + Y``; likewise ``-x`` and ``x @ y``. No rounding but
    float64's own is in these; that of a dtype is `Arithmetic`'s.

    A radius that is inf (or nan) says that nothing is known. A centre that isn't finite, with a finite radius, says
    that a correct path isn't finite either: one that depends on a NaN of the input, for example.
    """

    centre: Tensor  # float64, any shape
    radius: Tensor  # float64, same shape, >= 0
    reach: Tensor | None = None  # of the terms that t was summed from, in any order, but for `radius`; None: |centre|
    finite: bool = False  # whether every element is known to be finite, and its radius, too

    @classmethod
    def exact(cls, t: Tensor) -> Ball:
        """The set of `t` alone."""
        centre = t.detach().double()
        return cls(centre, torch.zeros_like(centre))

    @property
    def mag(self) -> Tensor:
        """An upper bound of ``|t|`` over the ball, and of what it was summed from."""
        return self.size.mul_(UP)

    @property
    def size(self) -> Tensor:
        """`mag` but for its own rounding: a part of bounds that end with `up`."""
        return self.centre.abs().add_(self.radius) if self.reach is None else self.reach + self.radius

    @property
    def shape(self) -> torch.Size:
        return self.centre.shape

    def moved(self, move: Callable[[Tensor], Tensor]) -> Ball:
        """The ball whose elements `move` has put elsewhere (a view, a permutation, an expansion, zeros between)."""
        return Ball(move(self.centre), move(self.radius), None if self.reach is None else move(self.reach), self.finite)

    def __getitem__(self, index: Any) -> Ball:
        return self.moved(lambda t: t[index])

    def __neg__(self) -> Ball:
        return Ball(-self.centre, self.radius, self.reach)

    def __add__(self, other: Ball) -> Ball:
        centre = self.centre + other.centre
        radius = up(self.radius + other.radius + EPS * centre.abs())
        reach = None if self.reach is None and other.reach is None else (self.mag + other.mag).mul_(UP)
        return Ball(centre, radius, reach)

    def __matmul__(self, other: Ball) -> Ball:
        """Sums of ``|xy - ab| <= |a| δb + δa (|b| + δb)``, with γ(n) <= n EPS (Rump 1999); `reach` is left out."""
        n = self.centre.shape[-1]
        a, b = self.centre.abs(), other.centre.abs()
        spread = a @ other.radius + self.radius @ (b + other.radius)
        return Ball(self.centre @ other.centre, up(spread + n * EPS * (a @ b), underflows=2 * n + 1))

    def holds(self, value: Tensor) -> bool:
        """Whether no element of `value` is certainly outside."""
        if not value.numel():
            return True
        beyond = (value - self.centre).abs_().sub_(self.radius)  # in place: new memory costs more than the arithmetic
        return beyond.amax().item() <= 0 or not bool(self.excludes(value).any())  # nan where something isn't finite

    def excludes(self, value: Tensor) -> Tensor:
        """Where `value` is certainly outside; False means "can't say", not "inside"."""
        value = value.double()
        # The subtraction rounds once, so the true distance is at least the computed one times 1 - EPS.
        outside = (value - self.centre).abs().mul_(1 - EPS) > self.radius
        finite = self.centre.isfinite()
        if not (finite.all() and value.isfinite().all()):
            outside = torch.where(finite, outside | ~value.isfinite(), value.isfinite())
            outside &= self.radius.isfinite()
        return outside

    def farthest(self, value: Tensor, outside: Tensor) -> tuple[float, tuple[int, ...]]:
        """Of the elements `outside`, of which there are some, that which is off by most radii: by how many, and where.

        Of those that are infinitely many radii off it is the farthest, NaN first.
        """
        distance = (value.double() - self.centre).abs()
        ratio = torch.where(outside, (distance / self.radius).nan_to_num(nan=inf, posinf=inf), -1.0)
        most = ratio.amax()
        flat = int(torch.where(ratio == most, distance.nan_to_num(nan=inf), -1.0).argmax())
        return float(most), unravelled(flat, value.shape)


def unravelled(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The index of element number `flat`."""
    index = []
    for size in reversed(shape):
        flat, i = divmod(flat, size)
        index.append(i)
    return tuple(reversed(index))


def up(bound: Tensor, more: Tensor | float = 0.0, *, underflows: int = 4) -> Tensor:
    """No less than the real value of `bound` + `more`, both non-negative; `bound` is overwritten."""
    if isinstance(more, Tensor):
        bound, more = bound.add_(more), 0.0
    return bound.mul_(UP).add_(more * UP + underflows * TINY)
