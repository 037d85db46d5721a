"""log σ(t)."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.sigmoid import logistic

LOGSIGMOID = Activation(
    value=lambda t: t.clamp(max=0).sub_(t.abs().neg_().exp_().log1p_()),
    slope=lambda t: logistic(-t),
    value_error=2 * FUNCTION + 2,  # log1p(z) <= |a|; the error of z costs it no more than z
    # as 1 / (exp(t) + 1), or 1 - z / (1 + z) where that is at least 1/2
    slope_error=FUNCTION + 5,
    slope_floor=1.0,  # as 1 / (exp(t) + 1): where exp(t) overflows, φ' < exp(-t) is below 1 / largest
    max_curvature=0.25,
    decay=1.0,
)


@rule(nn.LogSigmoid, F.logsigmoid, "logsigmoid")
def logsigmoid(wire: Wire) -> Elementwise:
    return Elementwise(LOGSIGMOID)
