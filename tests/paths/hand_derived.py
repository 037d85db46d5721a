"""Models with Jacobians derived by hand, in integers, so that every dtype holds every intermediate exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mlp(dtype: torch.dtype = torch.float64) -> tuple[nn.Sequential, Tensor]:
    """``W2 relu(W1 x + b1) + b2`` with I = 3, H = 2, C = 2 and N = 4: N C = 2·4, so √2/√(N C) is a power of two."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)).to(dtype)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1, -2, 3], [2, 1, -1]]))
        model[0].bias.copy_(torch.tensor([1, -3]))
        model[2].weight.copy_(torch.tensor([[5, -7], [2, 3]]))
        model[2].bias.copy_(torch.tensor([-1, 4]))
    x = torch.tensor([[1, 2, 3], [-2, 1, 0], [3, 0, -1], [0, -5, 2]], dtype=dtype)
    return model, x


def mlp_jacobian(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """With z = W1 x + b1, a = relu(z), psi = 1 where z > 0: the chain rule, entry by entry.

    z = [7, -2], [-3, -6], [1, 4], [17, -10]; none is 0.
    """
    x = [[1, 2, 3], [-2, 1, 0], [3, 0, -1], [0, -5, 2]]
    a = [[7, 0], [0, 0], [1, 4], [17, 0]]
    psi = [[1, 0], [0, 0], [1, 1], [1, 0]]
    W2 = [[5, -7], [2, 3]]
    N, C, H, I = range(4), range(2), range(2), range(3)
    return {
        "0.weight": torch.tensor(
            [[[[W2[c][h] * psi[n][h] * x[n][i] for i in I] for h in H] for c in C] for n in N], dtype=dtype
        ),
        "0.bias": torch.tensor([[[W2[c][h] * psi[n][h] for h in H] for c in C] for n in N], dtype=dtype),
        "2.weight": torch.tensor([[[[a[n][h] * (o == c) for h in H] for o in C] for c in C] for n in N], dtype=dtype),
        "2.bias": torch.tensor([[[float(o == c) for o in C] for c in C] for n in N], dtype=dtype),
    }


class Twice(nn.Module):
    """Not a layer of BackPACK's."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Scaled(nn.Module):
    """A layer with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Functional(nn.Module):
    """A ReLU that is not a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.relu(self.first(x)))
        return y


class Raising(nn.Module):
    """Does nothing until it is armed; then it raises in its forward pass, or in its backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.armed = ""

    def forward(self, x: Tensor) -> Tensor:
        if self.armed == "forward":
            raise LookupError("in the forward pass")
        if self.armed == "backward" and x.requires_grad:
            x = x.clone()
            x.register_hook(self.hook)
        return x * 1

    @staticmethod
    def hook(gradient: Tensor) -> None:
        raise LookupError("in the backward pass")
