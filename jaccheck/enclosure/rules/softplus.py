"""log(1 + exp(β t)) / β, or t itself where β t is above a threshold."""

from __future__ import annotations

from math import exp as real_exp
from math import log1p as real_log1p

import torch
from torch import exp, log1p, nn
from torch.nn import functional as F

from jaccheck._errors import Unsupported
from jaccheck.enclosure.rules._activation import FUNCTION, Activation, Elementwise
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.sigmoid import logistic


@rule(nn.Softplus, F.softplus, "softplus")
def softplus(wire: Wire, beta: float = 1.0, threshold: float = 20.0) -> Elementwise:
    if not beta > 0 or not 0 <= threshold <= 80:  # above that exp overflows in float32
        raise Unsupported(f"no enclosure for Softplus with beta={beta} and threshold={threshold}")
    step = real_exp(-threshold)

    return Elementwise(
        Activation(
            value=lambda t: torch.where(
                beta * t > threshold, t, ((beta * t).clamp(min=0) + log1p(exp(-(beta * t).abs()))) / beta
            ),
            slope=lambda t: torch.where(beta * t > threshold, 1.0, logistic(beta * t)),
            # β t is rounded once or twice, which costs log(1 + exp(s)) at most 2 u |s|, relatively, where s < 0, and
            # 2 u above, where it is s at least; then exp, log1p, a sum and a division
            value_error=lambda t, a: (2 * FUNCTION + 4 + 2 * (-beta * t.low).clamp(min=0)) * a,
            slope_error=lambda t, a, s: (FUNCTION + 5 + 2 * (-beta * t.low).clamp(min=0)) * s,
            # as σ(β t), that is 1 / (1 + exp(-β t)): where exp(-β t) overflows, φ' < exp(β t) is below 1 / largest
            slope_floor=1.0,
            max_curvature=beta / 4,
            decay=beta,
            linear_above=threshold / beta,
            kinks=((threshold / beta, step, real_log1p(step) / beta),),
            kink_blur=4 / beta,
            underflow=lambda t: 4 * (1 + 1 / beta),
            at_infinity=False,
        )
    )
