"""What a problem decides by itself where there is too much to try: always the same, but another problem otherwise."""

from __future__ import annotations

import random

import torch

from jaccheck._problem import Problem

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def chance(problem: Problem) -> random.Random:
    """A stream of random numbers that the problem's sizes and its input's bits begin."""
    x = problem.x.detach()
    bits = x.contiguous().view(_INTEGERS[x.element_size()]).sum()
    shapes = [tuple(p.shape) for p in problem.parameters.values()]
    return random.Random(f"{tuple(x.shape)} {problem.C} {int(bits)} {shapes}")
