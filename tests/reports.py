"""Reports made by hand, for the tests of what shows them."""

import math

from jaccheck._report import ForwardFinding, Image, ProblemFacts, Report, Verdict

FACTS = ProblemFacts(2, 2, {"0.weight": (2, 3), "0.bias": (2,)}, "float32", "cpu", {"torch": "2.2.0"})
AGREES = Verdict("autograd", "agrees", elements=32, resolution=2.1e-6, resolutions={"0.weight": 2.1e-6}, seconds=0.0123)
WRONG = Verdict(
    "sqrt_ggn_exact",
    "disagrees",
    kind="value",
    parameter="0.weight",
    shape=(2, 3),
    index=(1, 0, 1, 2),
    got=-1.4142135381698608,
    centre=-1.0,
    radius=3.1e-7,
    ratio=1.3362e6,
    outside=12,
    elements=32,
    vacuous=4,
)
FORWARD = ForwardFinding("1", (0, 1), math.nan, 1.0, 1e-7, math.inf)


def report(*verdicts: Verdict, **fields) -> Report:
    return Report({verdict.path: verdict for verdict in verdicts}, **{"problem": FACTS, **fields})


def image(largest: float = 1.0, rows: int = 4, columns: int = 8) -> Image:
    values = tuple(tuple(largest * (j + 1) / columns for j in range(columns)) for _ in range(rows))
    outside = tuple(tuple(0.5 if j == 1 else math.nan if j == 2 else 0.0 for j in range(columns)) for _ in range(rows))
    return Image(4, 8, values, outside)


EVERYTHING = report(AGREES, WRONG, forward=FORWARD, again="jaccheck.check(model, x)", images={"autograd": image()})
