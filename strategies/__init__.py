"""Hypothesis strategies for networks and their pieces."""

from .activations import activations as activations
from .networks import networks as networks
from .targets import devices as devices
from .targets import dtypes as dtypes
from .values import REGIMES as REGIMES
from .values import values as values

__all__ = ["REGIMES", "activations", "devices", "dtypes", "networks", "values"]
