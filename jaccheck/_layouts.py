"""How the numbers of an input lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor

LAYOUTS = ("contiguous", "transposed", "strided", "offset", "expanded")


def arranged(x: Tensor, layout: str) -> Tensor:
    """The same numbers in memory as `layout` says (``"expanded"``: those of the first sample, for all)."""
    if layout == "transposed":
        backward = tuple(reversed(range(x.dim())))
        return x.permute(backward).contiguous().permute(backward)
    if layout == "strided":
        return torch.stack((x, x), dim=-1)[..., 0]
    if layout == "offset":
        return torch.cat((x.new_zeros(1), x.flatten()))[1:].view(x.shape)
    if layout == "expanded" and len(x):
        return x[:1].clone().expand(x.shape)
    return x
