"""The example that jaccheck grew from."""

from __future__ import annotations

from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck._values import Values


def network() -> Network:
    """15 samples through Linear(10, 7), ReLU, Linear(7, 5)."""

    def values(seed: int) -> Values:
        return Values("uniform", seed=seed)

    return Network(
        layers=(
            Linear(7, weight=values(1), bias=values(2)),
            Activation("ReLU"),
            Linear(5, weight=values(3), bias=values(4)),
        ),
        batch=15,
        inputs=(10,),
        x=values(5),
        dtype="float32",
    )
