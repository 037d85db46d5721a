"""A row depends on the other samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jaccheck.selftest.wrong_paths import Jacobian, altered, computed, right


def _first_sample(model: nn.Module, x: Tensor) -> Jacobian:
    return right(model, x[:1].expand_as(x))


def _without_repetitions(model: nn.Module, x: Tensor) -> Jacobian:
    """Equal samples are computed once, and put where sorting has left them."""
    unique = torch.unique(x.detach(), dim=0) if x.numel() and not x.isnan().any() else x
    J = right(model, unique)
    return {name: torch.cat((j, j[-1:].expand(len(x) - len(j), *j.shape[1:]))) for name, j in J.items()}


def _raises_for_even(model: nn.Module, x: Tensor) -> Jacobian:
    if len(x) % 2 == 0 and len(x) > 2:
        raise ValueError("an odd number is needed")
    return right(model, x)


def _centred(model: nn.Module, x: Tensor) -> Jacobian:
    """Where there are many samples, their mean is taken away."""
    return right(model, x - x.mean(0, keepdim=True) if len(x) > 8 else x)


def _padded(model: nn.Module, x: Tensor) -> Jacobian:
    """Padded with its own beginning to an even number, of which the last is taken."""
    if len(x) % 2 == 0 or len(x) < 3:
        return right(model, x)
    return {name: j[1:] for name, j in right(model, torch.cat((x, x[:1]))).items()}


FAULTS = [
    computed("activations_of_the_first_sample", "all samples are taken for the first one", _first_sample),
    computed("samples_without_repetitions", "equal samples are merged and sorted", _without_repetitions),
    computed("raises_for_an_even_number", "an even N from 4 on raises", _raises_for_even),
    computed("centred_if_many", "beyond 8 samples the mean is taken from the input", _centred),
    computed("padded_if_odd", "an odd N is padded in front instead of behind", _padded),
    altered("wrong_for_17_samples", "N = 17 counts twice", lambda j, at: 2 * j, lambda at: at.N == 17),
    altered("nan_spreads_over_samples", "a NaN of one sample is in all rows", lambda j, at: j + 0 * j.sum(0)),
    altered(
        "nan_spreads_to_the_next_sample",
        "a NaN of one sample is in the next row, too",
        lambda j, at: j + 0 * j.roll(1, 0),
    ),
    altered("nan_spreads_over_classes", "a NaN of one class is in all", lambda j, at: j + 0 * j.sum(1, keepdim=True)),
    altered(
        "scaled_by_the_batch",
        "rows are scaled by the largest and back",
        lambda j, at: j / j.abs().amax() * j.abs().amax(),
        lambda at: at.N > 1,
    ),
    altered("only_sixteen_samples", "samples beyond 16 are 0", lambda j, at: torch.cat((j[:16], 0 * j[16:]))),
    altered("only_sixty_four_samples", "samples beyond 64 are 0", lambda j, at: torch.cat((j[:64], 0 * j[64:]))),
    altered(
        "off_by_one_from_17_samples_on",
        "the 17th row is the 16th",
        lambda j, at: torch.cat((j[:16], j[15:-1])),
        lambda at: at.N >= 17,
    ),
    altered(
        "second_half_in_reverse",
        "the second half of an even N from 6 on is reversed",
        lambda j, at: torch.cat((j[: at.N // 2], j[at.N // 2 :].flip(0))),
        lambda at: at.N >= 6 and at.N % 2 == 0,
    ),
    altered(
        "repeated_samples_counted_twice",
        "samples equal to the first count with it",
        lambda j, at: j * (at.x.detach() == at.x.detach()[:1]).flatten(1).all(1).sum(),
        lambda at: at.N > 1,
    ),
]
