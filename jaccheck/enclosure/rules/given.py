"""Constants and parameters with a batch axis, which say the same of each sample."""

from __future__ import annotations

from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.jacobian import Direct, Jacobian
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.detach import Detached


def repeats(t: Tensor) -> bool:
    """Whether it says the same of each sample."""
    return bool((t == first_sample(t)).all())


def of_one_sample(t: Tensor) -> Tensor:
    """What a constant with a batch axis says of each sample.

    Raises:
        Unsupported: it says something else of each, so that paths that take them one by one see another model.
    """
    if not repeats(t):
        raise Unsupported("no enclosure for a constant that differs along its batch axis")
    return first_sample(t)


def first_sample(t: Tensor) -> Tensor:
    """What it says of the first, or zeros if there is none."""
    return t[0] if len(t) else t.new_zeros(t.shape[1:])


def given(input: Tensor, one: Tensor) -> Tensor:
    """A constant, or a parameter, for as many samples as the model's input has."""
    return one.expand(len(input), *one.shape)


class Given(Detached):
    """``z = c``: a value of the graph that hangs on the model's input, whose own derivative nobody asks for."""

    def __init__(self, one: Tensor) -> None:
        self.one = one

    def forward(self, fl: Arithmetic, x: Ball) -> Ball:
        return Ball.exact(self.one).moved(lambda t: given(x.centre, t))

    def jacobians(self, fl: Arithmetic, D: Ball) -> tuple[tuple[Tensor, Jacobian], ...]:
        return ((self.one, Direct(D)),)


@rule(given)
def given_rule(input: Wire, one: Tensor) -> Given:
    return Given(one)
