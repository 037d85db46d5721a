"""Where the batched Jacobian of a model lies, for a user."""

from __future__ import annotations

from math import inf

from torch import Tensor, nn

from jaccheck._errors import Unsupported
from jaccheck._problem import admit
from jaccheck.enclosure import Ball


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
        InvalidProblem: the model or the input can't be used.
        Unsupported: a layer has no rule, or the model's own output isn't that of its layers; the message says which.

    Sources: Higham, Accuracy and Stability of Numerical Algorithms (2002), 3.1 (γ), 3.3 (running error bounds).
    """
    from jaccheck.judging.judge import Judge  # only now: importing jaccheck takes little

    problem, every = admit(model, x, seed=seed), slice(None)
    try:
        judge = Judge(problem)
        if judge.oracle is None:
            raise Unsupported(judge.reason)
        balls = {name: judge.oracle.rows(name, every, every) for name in problem.parameters}
    finally:
        problem.before.restore()
    return {
        name: Ball(ball.centre.clone(), ball.radius.nan_to_num(nan=inf, posinf=inf)) for name, ball in balls.items()
    }
