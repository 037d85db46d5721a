"""Hypothesis strategies for networks and their pieces."""

from jaccheck._needs import needs

with needs("jaccheck.strategies"):
    from .activations import activations as activations
    from .exact import exact_networks as exact_networks
    from .networks import EVERYTHING as EVERYTHING
    from .networks import networks as networks
    from .rows import in_a_row as in_a_row
    from .steps import in_use as in_use
    from .targets import devices as devices
    from .targets import dtypes as dtypes
    from .values import REGIMES as REGIMES
    from .values import values as values

__all__ = [
    "EVERYTHING",
    "REGIMES",
    "activations",
    "devices",
    "dtypes",
    "exact_networks",
    "in_a_row",
    "in_use",
    "networks",
    "values",
]
