"""Problems of all sizes, drawn from the strategies."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import chain, zip_longest
from math import log

from jaccheck._activations import CORE
from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck.strategies import networks
from jaccheck.strategies.drawing import collected

BATCHES = ((1, 2), (3, 8), (9, 32), (33, 128))
OUTPUTS = 256  # N C: as many backward passes in the loop
JACOBIAN = 2**22  # entries: 17 MB in float32
WIDTH, DEPTH = 257, 8
POOL = 3  # drawn for each that is taken

Cell = tuple[int, ...]


def stratified(count: int, seed: int, dtype: str, device: str) -> list[Network]:
    """`count` networks, as many as can be from each cell of a grid: powers of four of N, C and P, three of depths.

    The strategies draw small ones mostly; of each of four ranges of N a pool is drawn, and each cell gives one in turn.
    """
    cells: dict[Cell, list[Network]] = defaultdict(list)
    for low, high in BATCHES:
        for network in _pool(POOL * count // len(BATCHES), f"{seed}/{low}", low, high, dtype, device):
            cells[_cell(network)].append(network)
    order = sorted(cells)
    random.Random(seed).shuffle(order)  # a sweep that is stopped, too, has seen all sizes
    turns = chain.from_iterable(zip_longest(*(cells[cell] for cell in order)))
    return [network for network in turns if network is not None][:count]


def _pool(count: int, seed: str, low: int, high: int, dtype: str, device: str) -> list[Network]:
    drawn = networks(
        min_batch=low,
        max_batch=high,
        max_width=WIDTH,
        max_depth=DEPTH,
        max_outputs=OUTPUTS,
        max_jacobian=JACOBIAN,
        activations=CORE,
        dtypes=[dtype],
        devices=[device],
        values=["ordinary"],
        frozen=False,
    )
    return list(dict.fromkeys(collected(drawn, count=count, seed=seed)))


def _cell(network: Network) -> Cell:
    linear = sum(isinstance(layer, Linear) for layer in network.layers)
    by_four = (int(log(size, 4)) for size in (network.batch, network.outputs, network.parameters))
    return (*by_four, min(linear // 3, 2))
