"""Defects of a layer's own value: the forward pass is wrong, and nothing else in it is."""

from __future__ import annotations

from typing import Any

import torch

from jaccheck._activations import ACTIVATIONS
from jaccheck._problem import Problem
from jaccheck._same import same
from jaccheck.defects.conditions.emulation import INPUTS
from jaccheck.enclosure import Ball, Oracle
from jaccheck.enclosure.call import Call


def value(problem: Problem, *, layer: str, input: str, taken_as: float) -> bool:
    """Whether `layer`, for arguments that `input` says, has the value `taken_as`, and all else is right.

    Each call is judged by itself, at what torch computed before it, so that a fault behind the wrong value shows.
    """
    oracle = Oracle(problem.model, problem.x, seed=problem.seed)
    values: list[Any] = [problem.x.detach()]
    taken = False
    with torch.no_grad(), problem.chance():
        for call, rule in oracle.rules:
            given = [values[wire.index] for wire in call.wires]
            values.append(call.on(values))
            wrong = rule.forward(oracle.fl, *map(Ball.exact, given)).excludes(values[-1])
            if wrong.any():
                if not _is(call, layer) or (wrong & ~(INPUTS[input](given[0]) & (values[-1] == taken_as))).any():
                    return False
                taken = True
    return taken and bool(same(problem.output, oracle.replayed(problem.x, lambda t: t)).all())


def _is(call: Call, layer: str) -> bool:
    if call.layer is not None:
        return type(call.layer).__name__ == layer
    return layer in ACTIVATIONS and call.run is ACTIVATIONS[layer].function
