"""Root mean square normalization: layer normalization about 0, and without a shift."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.layer_norm import LayerNorm

SINGLE = 2.0**-24  # its unit roundoff


class RMSNorm(LayerNorm):
    """``a = s z γ`` with ``s = 1 / √(mean z² + ε)``, so that ``∂f/∂z = s (P - n mean(P n))`` for ``n = s z``."""

    about_mean = False

    def __init__(self, shape: Sequence[int], weight: Tensor | None, eps: float | None) -> None:
        super().__init__(shape, weight, None, eps or 0.0)
        self.named = eps is not None

    def forward(self, fl: Arithmetic, z: Ball) -> Ball:
        if not self.named:  # 2u, of the numbers' dtype or of the wider one that releases of torch compute in
            if fl.u > SINGLE:
                raise Unsupported("no enclosure for a root mean square normalization in 16 bits whose ε isn't named")
            self.eps = 2 * fl.u
        return super().forward(fl, z)

    @property
    def gain(self) -> float:
        """Besides, torch sums ``z τ`` before it multiplies by s³."""
        return max(super().gain, self.n * float(self.w.max())) if self.w.numel() else 1.0


NAMES = ((nn, "RMSNorm"), (F, "rms_norm"), (torch, "rms_norm"))
"""Where a release of torch has it, if it does."""


@rule(*(getattr(home, name) for home, name in NAMES if hasattr(home, name)))
def rms_norm(
    input: Wire, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> RMSNorm:
    return RMSNorm(normalized_shape, weight, eps)
