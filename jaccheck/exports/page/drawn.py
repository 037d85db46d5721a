"""A finding's network as boxes, its Jacobians as pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from jaccheck._containers import Layer
from jaccheck._layers import Activation, Flatten, Linear
from jaccheck._network import Network
from jaccheck._report import Report
from jaccheck._values import Values

SHOWN = 6  # numbers of a tensor that are written out


@dataclass(frozen=True)
class Box:
    """A layer, or several that belong together."""

    title: str
    lines: Sequence[str] = ()
    inside: Sequence[Box] = ()


def boxes(network: Network) -> list[Box]:
    """From the input to the output."""
    first = Box(
        "x", [f"[{', '.join(map(str, (network.batch, *network.inputs)))}] {network.dtype}", _numbers(network.x)]
    )
    last = Box("f(x)", [f"[{network.batch}, {network.outputs}]"])
    return [first, *_inside(network.layers), last]


def _inside(layers: Sequence[Layer]) -> Iterator[Box]:
    for layer in layers:
        if isinstance(layer, Linear):
            lines = [f"weight {_numbers(layer.weight)}"]
            lines.append("no bias" if layer.bias is None else f"bias {_numbers(layer.bias)}")
            if layer.frozen:
                lines.append(f"frozen: {', '.join(layer.frozen)}")
            yield Box(f"Linear({layer.width or 'same width'})", lines)
        elif isinstance(layer, Activation):
            settings = [f"{name} = {value}" for name, value in layer.parameters]
            yield Box(layer.name, [*settings, *(["as a function"] if layer.functional else [])])
        elif isinstance(layer, Flatten):
            yield Box("Flatten")
        else:
            inner = getattr(layer, "layers", None)
            if inner is None:
                yield Box(repr(layer))
            else:
                yield Box(type(layer).__name__, inside=list(_inside(inner)))


def _numbers(values: Values) -> str:
    """In words, what stands in a tensor."""
    if values.kind in ("uniform", "wide"):
        said = f"{values.kind}, seed {values.seed}"
    else:
        said = ", ".join(map(str, values.numbers[:SHOWN])) or "0"
        said += ", …" if len(values.numbers) > SHOWN else ""
        said += f" (any, seed {values.seed})" if values.kind == "choice" else ""
    if values.exponent:
        said = f"({said}) · 2^{values.exponent}"
    put = "; ".join(f"{number} at {index}" for index, number in values.put)
    return f"{said}; {put}" if put else said


def pictures(report: Report | None) -> str | None:
    """The report's figure as the address of an image that is the address; None if it holds no pictures."""
    if report is None or not report.images:
        return None
    try:
        drawn = report.plot()
    except ImportError:  # matplotlib isn't there; the numbers are
        return None
    image = BytesIO()
    drawn.savefig(image, format="png", dpi=90)
    return f"data:image/png;base64,{b64encode(image.getvalue()).decode()}"
