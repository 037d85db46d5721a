"""1 / (1 + e⁻ᵗ)."""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn, sigmoid
from torch.nn import functional as F

from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule


def logistic(t: Tensor) -> Tensor:
    """σ(t), to a few units of float64."""
    return t.neg().exp_().add_(1).reciprocal_()


def logistic_slope(t: Tensor) -> Tensor:
    """σ'(t) = e / (1 + e)² for e = exp(-|t|), without the cancellation of σ (1 - σ)."""
    e = t.abs().neg_().exp_()
    return e.div_((e + 1).square_())


SIGMOID = Activation(
    value=logistic,
    slope=logistic_slope,
    value_error=FUNCTION + 2,
    # as a (1 - a): the error of a is at most (FUNCTION + 2) u a in either factor, and |1 - 2 a| <= 1
    slope_error=lambda t, a, s: (FUNCTION + 2) * a + 3 * s,
    max_curvature=1 / (6 * sqrt(3)),
    decay=1.0,  # |φ''| = φ' |1 - 2 a|
    exact_where=lambda t: t == 0,
    floor=1.0,  # where exp(-t) overflows, 1 / exp(-t) is below 1 / largest
)


@rule(nn.Sigmoid, F.sigmoid, sigmoid, "sigmoid", "special_expit")
def sigmoid_rule(wire: Wire) -> Elementwise:
    return Elementwise(SIGMOID)
