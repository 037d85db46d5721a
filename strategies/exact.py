"""Networks all of whose numbers are exact, and whose Jacobians' entries differ from one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from jaccheck._containers import Layer
from jaccheck._layers import EDGES, Activation, Linear
from jaccheck._network import Network
from jaccheck._values import DTYPES, FORMATS, Number, Values

from . import sizes
from .targets import targets

ANY: tuple[Activation, ...] = (  # exact for every argument
    Activation("Identity"),
    Activation("ReLU"),
    Activation("LeakyReLU", (("negative_slope", 0.5),)),
    Activation("LeakyReLU", (("negative_slope", -1),)),
    Activation("LeakyReLU", (("negative_slope", 0.25),)),
    Activation("LeakyReLU", (("negative_slope", 2),)),
    Activation("ReLU6"),
    Activation("Hardtanh"),
    Activation("Softshrink", (("lambd", 1),)),
    Activation("Hardshrink"),
)
SCALED = ANY[:6]
"""Exact for arguments of any size."""
ABOVE: tuple[Activation, ...] = (Activation("ELU"), Activation("ELU", (("alpha", 2),)), Activation("CELU"))
"""Exact from 0 on."""
AT_ZERO = tuple(Activation(name) for name in ("Tanh", "Sigmoid", "SiLU", "Softsign", "Tanhshrink"))
"""Exact at 0 alone."""
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107)
DYADIC = tuple((2**i, 2 ** (k - i)) for k in (1, 3, 5, 7) for i in range(k + 1))
"""N and C for which √2/√(N C) is a power of two."""
MOST_BITS = 24  # used of float64's 53: sums that no float32 could hold aren't needed


@dataclass(frozen=True)
class _Limits:
    max_batch: int
    max_width: int
    max_depth: int
    max_outputs: int
    max_jacobian: int
    targets: tuple[tuple[str, str], ...]


def exact_networks(
    *,
    max_batch: int = 257,
    max_width: int = 257,
    max_depth: int = 2,
    max_outputs: int = 520,
    max_jacobian: int = 2**18,
    dtypes: Sequence[str] = DTYPES,
    devices: Sequence[str] | None = None,
) -> SearchStrategy[Network]:
    """Networks on which no correct path of reverse mode rounds, in whatever order it sums; few aren't exact after all.

    Weights are sparse where layers are wide, so that sums stay small. Inputs and biases count upwards, and weights
    repeat with a period that goes into no width, so that entries that could be mixed up are different numbers: all
    rows and columns of a square layer, samples and classes where there are as many, equal widths.

    They shrink to one sample through one ``Linear(1, 1)`` in float64 on the CPU.

    Args:
        max_batch, max_width, max_depth: N, of layers and inputs, and hidden layers.
        max_outputs, max_jacobian: N·C, and N·C·P, P being the number of parameters.
        dtypes, devices: names; devices None means the CPU and each CUDA device there is.
    Raises:
        InvalidArgument: the limits can't be met, or a name is unknown.
    """
    for name, limit, least in (
        ("max_batch", max_batch, 1),
        ("max_width", max_width, 1),
        ("max_depth", max_depth, 0),
        ("max_outputs", max_outputs, 1),
        ("max_jacobian", max_jacobian, 2 * (max_depth + 1)),
    ):
        if type(limit) is not int or limit < least:
            raise InvalidArgument(f"{name}={limit!r} should be an integer of at least {least}")
    every = targets(dtypes, devices)
    return _exact_networks(_Limits(max_batch, max_width, max_depth, max_outputs, max_jacobian, every))


@st.composite
def _exact_networks(draw: DrawFn, limits: _Limits) -> Network:
    dtype, device = draw(st.sampled_from(limits.targets))
    batch, (first, *widths) = draw(_shapes(limits))
    bias, end, phase = draw(st.sampled_from(_STYLES)), draw(st.sampled_from(_ENDS)), draw(st.integers(0, 20))
    scale = draw(st.sampled_from(_SCALES))
    hidden = draw(st.lists(st.sampled_from(ANY + ABOVE), min_size=len(widths) - 1, max_size=len(widths) - 1))
    if end == "outermost":  # the last layer gives 0, where φ' of the last activation is exact
        hidden = [*hidden, AT_ZERO[phase % len(AT_ZERO)]]
    if scale:  # which no constant goes with
        bias, end, hidden = "none", "linear", [activation for activation in hidden if activation in SCALED]
        widths = [*widths[: len(hidden)], widths[-1]]
    positive = any(activation in ABOVE for activation in hidden)
    batch, (first, *_), widths = sizes.fitted(
        batch, (first,), list(widths), min_batch=1, max_outputs=limits.max_outputs, max_jacobian=limits.max_jacobian
    )
    budget = min(FORMATS[dtype].precision, MOST_BITS) - sum(_bits(activation) for activation in hidden)
    each = max(1, (budget - 2) // (len(widths) + 1))  # bits for the input, and for each layer to add
    layers: list[Layer] = []
    fan_in = first
    for i, width in enumerate(widths):
        zero = end == "outermost" and i == len(widths) - 1
        weight = Values() if zero else Values(numbers=_weights(fan_in, width, each, positive, phase + i))
        biased = bias == "all" or (bias == "last" and i == len(widths) - 1)
        numbers = () if zero else _counting(width, each, positive, phase + i)
        layers.append(Linear(width, weight, Values(numbers=numbers) if biased else None))
        layers += [activation for activation in hidden[i : i + 1] if activation.name != "Identity"]
        fan_in = width
    numbers = _counting(batch * first, max(each, budget - each * len(widths)), positive, phase)
    form = FORMATS[dtype]
    exponent = {"": 0, "small": form.lowest + 6, "large": form.highest - budget - 2}[scale]
    x = Values(numbers=numbers, exponent=exponent)
    return Network(layers=tuple(layers), batch=batch, inputs=(first,), x=x, dtype=dtype, device=device)


_SCALES = ("",) * 4 + ("small", "small", "large")
_STYLES = ("all", "all", "last", "none")
_ENDS = ("linear",) * 7 + ("outermost",)


def _shapes(limits: _Limits) -> SearchStrategy[tuple[int, tuple[int, ...]]]:
    """N, and the widths from the input to the output."""

    def sizes(limit: int, *tables: Sequence[int]) -> SearchStrategy[int]:
        return st.sampled_from([size for table in tables for size in table if size <= limit] or [1])

    few, outputs = sizes(limits.max_batch, (1, 2)), sizes(limits.max_width, (1, 1, 2, 3))
    small, batches = sizes(limits.max_width, range(1, 8)), sizes(limits.max_batch, range(1, 6))
    primes = sizes(limits.max_width, PRIMES[:12])
    wide, many = sizes(limits.max_width, (1, 2, 3), EDGES), sizes(limits.max_batch, (1, 2, 3), EDGES)
    depth = st.integers(1, limits.max_depth + 1)
    plain = st.tuples(batches, depth.flatmap(lambda d: st.tuples(*[small] * (d + 1))))
    square = st.tuples(small.filter(lambda n: n <= limits.max_batch), depth).map(lambda t: (t[0], (t[0],) * (t[1] + 1)))
    prime = st.tuples(batches, depth.flatmap(lambda d: st.tuples(*[primes] * (d + 1))))
    edge = st.tuples(few, st.tuples(wide, wide, small))
    inner = st.tuples(few, st.tuples(small, wide, small))
    crowd = st.tuples(many, st.tuples(wide, outputs))
    fan = st.tuples(few, st.tuples(small, wide))
    pairs = [
        (n, c) for n, c in DYADIC if n <= limits.max_batch and c <= limits.max_width and n * c <= limits.max_outputs
    ]
    inputs = depth.flatmap(lambda d: st.tuples(*[small] * d))
    dyadic = st.builds(lambda pair, widths: (pair[0], (*widths, pair[1])), st.sampled_from(pairs or [(1, 1)]), inputs)
    return st.one_of(plain, square, prime, fan, crowd, dyadic, *([edge, inner] if limits.max_depth else []))


def _bits(activation: Activation) -> int:
    """What an activation takes: bits behind the point, of its value and then of its derivative."""
    return {"LeakyReLU": 4, "Sigmoid": 3, "SiLU": 2, "ELU": 1}.get(activation.name, 0)


def _weights(fan_in: int, width: int, bits: int, positive: bool, phase: int) -> tuple[Number, ...]:
    """One period of a matrix's numbers: magnitudes below ``2**bits`` over the terms of a sum, most of them 0 if wide.

    The period is prime to the fan-in, so that no two rows begin alike before it is over.
    """
    terms = 2 ** (bits // 2)  # of a sum that aren't 0, about
    apart = max(1, -(-max(fan_in, width) // terms))
    largest = max(1, 2 ** (bits - (terms - 1).bit_length()) - 1)
    values = _counting(min(2 * largest, max(3, 24 // apart)), bits, positive, phase, largest)
    numbers: list[Number] = []
    for value in values:
        numbers += [value, *[0] * (apart - 1)]
    while gcd(len(numbers), fan_in) > 1 or (fan_in == 1 and gcd(len(numbers), width) > 1 and len(numbers) < width):
        numbers.append(0 if apart > 1 else values[len(numbers) % len(values)])
    return tuple(numbers[: fan_in * width])


def _counting(count: int, bits: int, positive: bool, phase: int, largest: int | None = None) -> tuple[Number, ...]:
    """1, -2, 3, …: as many different numbers as there are below ``2**bits``, beginning somewhere."""
    largest = largest or 2**bits - 1
    size = min(count, 2 * largest if not positive else largest)
    numbers = [1 + (phase + i) % largest for i in range(min(size, largest))]
    signed = [n if positive or (i + phase) % 2 == 0 else -n for i, n in enumerate(numbers)]
    more = [-n for n in signed][: size - len(signed)]
    return tuple(signed + more)
