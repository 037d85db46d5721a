"""How many kernels torch keeps that were compiled for one shape: oneDNN's, for bfloat16 above all.

By default it is 1,024, of up to half a megabyte each: networks drawn at random hardly ever have one in common.
"""

from __future__ import annotations

import os

KEPT = 64
_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def keep_few() -> None:
    """From now on, if this process hasn't used any, and the user hasn't chosen."""
    for name in _VARIABLES:
        os.environ.setdefault(name, str(KEPT))
