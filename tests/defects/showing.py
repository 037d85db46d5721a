"""Which known defects can show here: with these versions, this processor, and what is installed."""

from __future__ import annotations

import json
from functools import cache

import torch

from jaccheck._capabilities import differentiates, squared_error
from jaccheck._finding import FORWARD
from jaccheck._network import Network
from jaccheck._values import FORMATS
from jaccheck.defects.register import Defect
from jaccheck.paths import paths


def network_of(defect: Defect) -> Network:
    return Network.from_json(json.dumps(defect.network))


def hidden(defect: Defect, path: str) -> str | None:
    """Why `defect` can't show in `path` here; None if it can."""
    network = network_of(defect)
    if not defect.here():
        return f"only {defect.library} {defect.versions} has it"
    if path not in (*paths(), FORWARD):
        return f"{path} is not installed"
    if path == "sqrt_ggn_exact" and not differentiates(squared_error, FORMATS[network.dtype].dtype, network.device):
        return f"this torch has no squared error in {network.dtype}"
    if "onednn" in defect.id and not onednn_reads_on():
        return "the matrix products of this processor and torch have no such defect"
    return None


@cache
def onednn_reads_on() -> bool:
    """Whether the kernel takes the first number of the next row for one of this row."""
    a = torch.zeros(17, 15, dtype=torch.bfloat16)
    a[16] = torch.nan
    return bool((a @ torch.zeros(15, 19, dtype=torch.bfloat16))[:16].isnan().any())
