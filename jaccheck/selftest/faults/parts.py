"""A part is missing, is another one's, or is alone in being wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.wrong_paths import At, altered


def _without(j: Tensor, dim: int, *places: int) -> Tensor:
    return j.index_fill(dim, torch.tensor([place % j.shape[dim] for place in places], device=j.device), 0)


def _entry(j: Tensor, place: int) -> Tensor:
    j = j.clone(memory_format=torch.contiguous_format)
    j.view(-1)[place % j.numel()] *= 1.5
    return j


def _weight(at: At) -> bool:
    return len(at.shape) == 2


def _last_chunk(size: int, repeat: bool) -> Fault:
    """Rows ``(n, c)`` are computed `size` at a time, and the last, shorter chunk isn't right."""

    def alter(j: Tensor, at: At) -> Tensor:
        rows = j.flatten(0, 1).clone()
        start = len(rows) // size * size
        rows[start:] = rows[start - 1] if repeat else 0
        return rows.view_as(j)

    words = "is the last row of the one before" if repeat else "is missing"
    name = f"last_chunk_of_{size}_{'repeated' if repeat else 'missing'}"
    return altered(name, f"of chunks of {size} rows, a shorter last one {words}", alter, lambda at: size < at.N * at.C)


FAULTS = [
    altered("last_sample_missing", "the last sample is 0", lambda j, at: _without(j, 0, -1)),
    altered(
        "first_sample_missing",
        "the first of several samples is 0",
        lambda j, at: _without(j, 0, 0),
        lambda at: at.N > 1,
    ),
    altered("last_class_missing", "the last class is 0", lambda j, at: _without(j, 1, -1)),
    altered("last_unit_missing", "the last unit is 0", lambda j, at: _without(j, 2, -1)),
    altered("last_input_missing", "the last input is 0", lambda j, at: _without(j, -1, -1), _weight),
    altered(
        "last_bias_missing", "the bias of the last layer is 0", lambda j, at: 0 * j, lambda at: at.last and at.bias
    ),
    altered(
        "first_bias_missing",
        "the bias of the first layer is 0",
        lambda j, at: 0 * j,
        lambda at: at.place == 1 and at.bias,
    ),
    altered("biases_missing", "biases are 0", lambda j, at: 0 * j, lambda at: at.bias),
    altered("first_weight_missing", "the first weight is 0", lambda j, at: 0 * j, lambda at: at.place == 0),
    altered("fourth_sample_missing", "sample 3 is 0", lambda j, at: _without(j, 0, 3), lambda at: at.N > 3),
    altered(
        "fourth_unit_wrong",
        "unit 3 of the first layer counts half",
        lambda j, at: torch.cat((j[:, :, :3], j[:, :, 3:4] / 2, j[:, :, 4:]), 2),
        lambda at: at.place == 0 and at.shape[0] > 3,
    ),
    altered(
        "one_entry_of_the_last_parameter",
        "the very last entry is half too large",
        lambda j, at: _entry(j, -1),
        lambda at: at.last,
    ),
    altered(
        "one_entry_of_the_first_parameter",
        "the very first entry is half too large",
        lambda j, at: _entry(j, 0),
        lambda at: at.place == 0,
    ),
    altered(
        "one_entry_in_the_middle",
        "entry 7 of the second parameter is half too large",
        lambda j, at: _entry(j, 7),
        lambda at: at.place == 1,
    ),
    altered(
        "corner_of_sample_and_class",
        "the last sample's last class is 0",
        lambda j, at: torch.cat((j[:-1], _without(j[-1:], 1, -1))),
    ),
    altered(
        "diagonal_alone",
        "other inputs than the unit's own are 0, where there are as many",
        lambda j, at: j * torch.eye(at.shape[0], dtype=j.dtype, device=j.device),
        lambda at: _weight(at) and at.shape[0] == at.shape[1],
    ),
    altered("shared_between_samples", "all samples have the first one's", lambda j, at: j[:1].expand_as(j)),
    altered("shared_between_classes", "all classes have the first one's", lambda j, at: j[:, :1].expand_as(j)),
    altered("deep_layers_missing", "from the fourth layer on all is 0", lambda j, at: 0 * j, lambda at: at.place > 5),
    *(_last_chunk(size, repeat) for size in (4, 8, 16, 32, 64) for repeat in (False, True)),
]
