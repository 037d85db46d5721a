"""A path's Jacobian as a picture: `[N C, P]`, pooled to what fits on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d

from jaccheck._report import Image
from jaccheck.judging.judge import Judge
from jaccheck.paths import Path, rounding

MOST_ENTRIES = 2**18  # of Jacobians that a report keeps for its pictures unasked
ROWS, COLUMNS = 200, 400  # cells of a picture, at most


def picture(jacobian: Mapping[str, Tensor], judge: Judge, path: Path, *, now: bool) -> Callable[[], Image]:
    """What draws the picture of `jacobian`, a path's result; `now`: draws it at once, and keeps no Jacobian."""
    draw = partial(_drawn, jacobian, judge, path)
    if not now:
        return draw
    image = draw()
    return lambda: image


def _drawn(jacobian: Mapping[str, Tensor], judge: Judge, path: Path) -> Image:
    with torch.no_grad():
        flat = torch.cat([j.flatten(0, 1).flatten(1) for j in jacobian.values()], 1).cpu().float()
        outside, vacuous = judge.marks(jacobian, rounding(path))
        size = min(flat.shape[0], ROWS), min(flat.shape[1], COLUMNS)
        if 0 in size:
            return Image(flat.shape[0], flat.shape[1], (), ())
        where = adaptive_max_pool2d(flat.abs().nan_to_num(nan=inf)[None], size, return_indices=True)[1][0]
        values = flat.flatten()[where]
        share = adaptive_avg_pool2d(outside.float()[None], size)[0]
        unknown = adaptive_avg_pool2d(vacuous.float()[None], size)[0] == 1
        share[unknown] = torch.nan
    return Image(flat.shape[0], flat.shape[1], _rows(values), _rows(share))


def _rows(t: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in t.tolist())
