"""Constants with a batch axis, which say the same of each sample."""

from __future__ import annotations

from torch import Tensor

from jaccheck._errors import Unsupported
from jaccheck.enclosure.arithmetic import Arithmetic
from jaccheck.enclosure.ball import Ball
from jaccheck.enclosure.rules._rule import Wire, rule
from jaccheck.enclosure.rules.detach import Detached


def of_one_sample(constant: Tensor) -> Tensor:
    """What a constant with a batch axis says of each sample.

    Raises:
        Unsupported: it says something else of each, so that paths that take them one by one see another model.
    """
    one = constant[0].detach() if len(constant) else constant.new_zeros(constant.shape[1:])
    if constant.requires_grad or not bool((constant == one).all()):
        raise Unsupported("no enclosure for a parameter with a batch axis, or a constant that differs along it")
    return one


def given(input: Tensor, one: Tensor) -> Tensor:
    """A constant, for as many samples as the model's input has."""
    return one.expand(len(input), *one.shape)


class Given(Detached):
    """``z = c``: a value of the graph that hangs on the model's input, whose own derivative nobody asks for."""

    def __init__(self, one: Tensor) -> None:
        self.one = Ball.exact(one)

    def forward(self, fl: Arithmetic, x: Ball) -> Ball:
        return self.one.moved(lambda t: given(x.centre, t))


@rule(given)
def given_rule(input: Wire, one: Tensor) -> Given:
    return Given(one)
