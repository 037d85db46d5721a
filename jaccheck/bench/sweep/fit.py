"""A power law fitted to measurements: least squares of the logarithms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import torch

FEATURES = ("N", "C", "P", "depth")
FEWEST = 2 * len(FEATURES) + 2
"""Measurements: twice the coefficients, so that there is something left to be off by."""


@dataclass(frozen=True)
class Fit:
    """``factor N^a C^b P^c depth^d``."""

    factor: float
    """What the law gives for N = C = P = depth = 1, in seconds or bytes."""
    exponents: Mapping[str, float]
    errors: Mapping[str, float]
    """The standard error of each exponent."""
    residual: float
    """By which factor a measurement is off, typically: exp of the root mean square of the logarithms' residuals."""
    worst: float
    """The largest such factor."""
    count: int

    def __call__(self, sizes: Mapping[str, float]) -> float:
        return self.factor * exp(sum(power * log(sizes[name]) for name, power in self.exponents.items()))


def fitted(sizes: Sequence[Mapping[str, float]], values: Sequence[float]) -> Fit | None:
    """The law that is nearest to positive `values` at `sizes`; None if there are too few of them.

    A size that is the same everywhere has the exponent 0.
    Sources: Draper and Smith, Applied Regression Analysis (1998), 5.1 (estimates and their standard errors).
    """
    if len(values) < FEWEST:
        return None
    varying = [name for name in FEATURES if len({size[name] for size in sizes}) > 1]
    rows = [[1.0, *(log(size[name]) for name in varying)] for size in sizes]
    X = torch.tensor(rows, dtype=torch.float64, device="cpu")  # [n, 1 + k]
    y = torch.tensor([log(value) for value in values], dtype=torch.float64, device="cpu")
    Q, R = torch.linalg.qr(X)
    if bool((R.diagonal().abs() < 1e-9 * R.diagonal().abs().max()).any()):  # two sizes are powers of one another
        return None
    inverse = torch.linalg.inv(R)
    beta = inverse @ (Q.mT @ y)
    off = y - X @ beta
    squares = float(off @ off)
    spread = sqrt(squares / (len(values) - len(beta)))
    errors = spread * (inverse @ inverse.mT).diagonal().sqrt()
    powers = dict.fromkeys(FEATURES, 0.0)
    return Fit(
        factor=exp(float(beta[0])),
        exponents=powers | {name: float(power) for name, power in zip(varying, beta[1:], strict=True)},
        errors=powers | {name: float(error) for name, error in zip(varying, errors[1:], strict=True)},
        residual=exp(sqrt(squares / len(values))),
        worst=exp(float(off.abs().max())),
        count=len(values),
    )
