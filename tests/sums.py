"""In which precision this torch sums products."""

from __future__ import annotations

import pytest
import torch

from jaccheck.enclosure.probe import arithmetic


def skip_where_rounded_each_time(dtype: torch.dtype) -> None:
    """No enclosure is as sharp where 16 bits are summed in 16 bits, as torch 2.2 does on a CPU."""
    fl = arithmetic(dtype, torch.device("cpu"))
    if fl.u > 2.0**-24 and fl.v == fl.u:
        pytest.skip(f"products of {dtype} are summed in {dtype}")
