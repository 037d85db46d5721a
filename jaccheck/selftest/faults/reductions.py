"""Sums and means over axes that should be kept, and leaks along them."""

from __future__ import annotations

from jaccheck.selftest.wrong_paths import altered

FAULTS = [
    altered("summed_over_samples", "each sample has the sum of all", lambda j, at: j.sum(0, keepdim=True).expand_as(j)),
    altered("mean_over_samples", "each sample has the mean of all", lambda j, at: j.mean(0, keepdim=True).expand_as(j)),
    altered("summed_over_classes", "each class has the sum of all", lambda j, at: j.sum(1, keepdim=True).expand_as(j)),
    altered("accumulated_over_samples", "each sample has the sum of those up to it", lambda j, at: j.cumsum(0)),
    altered("accumulated_over_classes", "each class has the sum of those up to it", lambda j, at: j.cumsum(1)),
    altered("summed_over_units", "each unit has the sum of all", lambda j, at: j.sum(2, keepdim=True).expand_as(j)),
    altered(
        "leak_from_the_next_sample",
        "an eighth of the next sample leaks in",
        lambda j, at: j + j.roll(1, 0) / 8,
        lambda at: at.N > 1,
    ),
    altered(
        "leak_from_the_next_class",
        "an eighth of the next class leaks in",
        lambda j, at: j + j.roll(1, 1) / 8,
        lambda at: at.C > 1,
    ),
    altered("centred", "the mean over samples has been taken away", lambda j, at: j - j.mean(0, keepdim=True)),
    altered(
        "normalized",
        "rows have length 1",
        lambda j, at: j / j.flatten(2).norm(dim=2).clamp(min=1e-4).reshape(at.N, at.C, *[1] * len(at.shape)),
    ),
    altered("clipped", "entries are clipped to a magnitude of 1", lambda j, at: j.clamp(-1, 1)),
    altered("clipped_far_out", "entries are clipped to a magnitude of 100", lambda j, at: j.clamp(-100, 100)),
    altered(
        "largest_over_samples", "each sample has the largest of all", lambda j, at: j.amax(0, keepdim=True).expand_as(j)
    ),
]
