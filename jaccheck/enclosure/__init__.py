"""The proven enclosure of a batched Jacobian."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jaccheck.enclosure.ball import Ball as Ball
from jaccheck.enclosure.oracle import Oracle as Oracle
from jaccheck.enclosure.oracle import Outside as Outside


def enclosure(model: nn.Module, x: Tensor, *, seed: int | None = None) -> dict[str, Ball]:
    """Prove where the batched Jacobian of `model` at `x` lies, whoever computes it in the dtype of `x`.

    Args:
        model: maps ``[N, *features]`` to f(x), ``[N, C]``; its layers and functions have rules in
            `jaccheck.enclosure.rules`.
        x: ``[N, *features]``, in the dtype and on the device of the parameters.
        seed: lets Dropout in training mode in, with the mask that it draws with torch's random numbers at this seed.

    Returns:
        For each trainable parameter's name a ball, ``[N, C, *p.shape]``, centre and radius in units of f per unit of
        the parameter. The radius is an absolute error, inf where nothing is known (overflow of the dtype, say). It
        holds for paths of one backward pass; others may be allowed more (`jaccheck.register_path`).

    Raises:
        Unsupported: a layer has no rule; the message names it.

    Sources: Higham, Accuracy and Stability of Numerical Algorithms (2002), 3.1 (γ), 3.3 (running error bounds).
    """
    oracle = Oracle(model, x, seed=seed)
    names = oracle.jacobians()
    balls = {name: oracle.rows(name, slice(None), slice(None)) for name in names}
    return {
        name: Ball(ball.centre.clone(), ball.radius.nan_to_num(nan=torch.inf, posinf=torch.inf))
        for name, ball in balls.items()
    }
