"""Every path on a ladder of problems: a benchmark that is run along with the tests.

By default it is short. ``--benchmark-only`` runs it long, for figures that count:

    python -m pytest tests/bench/test_ladder.py --benchmark-only -n 2 --benchmark-json=ladder.json
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import jaccheck

pytest.importorskip("pytest_benchmark")

SHORT, LONG = 0.02, 1.0  # seconds for each path
LARGE = 10**8  # bytes: then one round is enough in a short run
FORWARD = 1000  # parameters: forward mode takes a pass for each
LEFT_OUT = {"vmap_jacfwd"}


@dataclass(frozen=True)
class Rung:
    """A network of ReLU layers of these widths, the inputs' first, and a batch of N."""

    name: str
    N: int
    widths: tuple[int, ...]

    @property
    def parameters(self) -> int:
        return sum((fan_in + 1) * width for fan_in, width in zip(self.widths, self.widths[1:], strict=False))

    @property
    def bytes(self) -> int:
        return 4 * self.N * self.widths[-1] * self.parameters

    def build(self) -> tuple[nn.Module, Tensor]:
        torch.manual_seed(0)
        pairs = zip(self.widths, self.widths[1:], strict=False)
        layers = [layer for fan_in, width in pairs for layer in (nn.Linear(fan_in, width), nn.ReLU())]
        return nn.Sequential(*layers[:-1]), torch.rand(self.N, self.widths[0])

    def paths(self) -> list[str]:
        return [name for name in jaccheck.paths() if name not in LEFT_OUT or self.parameters <= FORWARD]


LADDER = sorted(
    (
        Rung("example", 15, (10, 7, 5)),
        *(Rung(f"depth={depth}", 8, (16, *(16,) * depth, 4)) for depth in (1, 2, 4, 8, 16)),
        *(Rung(f"width={width}", 8, (16, width, width, 4)) for width in (4, 32, 256)),
        *(Rung(f"N={N}", N, (16, 16, 4)) for N in (1, 16, 128)),
        *(Rung(f"C={C}", 8, (16, 16, C)) for C in (1, 8, 64)),
        Rung("175 MB", 64, (256, 256, 10)),
        Rung("343 MB", 16, (784, 512, 256, 10)),
    ),
    key=lambda rung: -rung.bytes,
)
"""The long ones first: a worker that is done early finds something short to do."""


@pytest.mark.parametrize("rung", [pytest.param(rung, id=rung.name) for rung in LADDER])
def test_ladder(paired, request, rung):
    long = request.config.getoption("benchmark_only")
    paths = rung.paths()
    rounds = None if long else 1 if rung.bytes >= LARGE else 3
    found = paired(*rung.build(), paths=paths, seconds=(LONG if long else SHORT) * len(paths), rounds=rounds)
    assert found.jacobian_bytes == rung.bytes
    assert {name: cost.status for name, cost in found.costs.items() if cost.status != "unchecked"} == {}
