"""Wrong in one dtype alone."""

from __future__ import annotations

import torch
from torch import Tensor

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.wrong_paths import At, altered


def _in(dtype: torch.dtype) -> list[Fault]:
    short = str(dtype).removeprefix("torch.")

    def when(at: At) -> bool:
        return at.dtype == dtype

    def rounded(j: Tensor, at: At) -> Tensor:
        return j * (1 + 64 * torch.finfo(dtype).eps)

    return [
        altered(f"half_in_{short}", f"half the right value in {short}", lambda j, at: j / 2, when),
        altered(f"imprecise_in_{short}", f"64 eps too large in {short}", rounded, when),
        altered(
            f"last_class_in_{short}",
            f"the last of several classes is 0 in {short}",
            lambda j, at: torch.cat((j[:, :-1], 0 * j[:, -1:]), 1),
            lambda at: when(at) and at.C > 1,
        ),
    ]


FAULTS = [fault for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16) for fault in _in(dtype)]
