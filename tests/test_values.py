"""The numbers of a tensor are what the docstring of `Values` says, in every dtype, whatever torch is set to."""

from __future__ import annotations

import struct
from bisect import bisect_left
from fractions import Fraction
from math import inf, isnan, prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jaccheck import InvalidProblem
from jaccheck._values import DTYPES, FORMATS, Format, Values, encoded

SEEDS = st.integers(0, 2**32 - 1)


def mixed(w: int) -> int:
    for _ in range(2):
        w = (w ^ (w >> 16)) * 0x45D9F3B % 2**32
    return w ^ (w >> 16)


def word(seed: int, i: int) -> int:
    return mixed((mixed((seed + 0x9E3779B9) % 2**32) + i) % 2**32)


def random_number(kind: str, seed: int, i: int, exponent: int, form: Format) -> Fraction | float:
    """The docstring once more, number by number, in rationals."""
    w = word(seed, i)
    byte = (w >> 23) % 256
    zeros = next((k for k in range(8) if byte >> k & 1), 8)
    power = exponent - (zeros if kind == "uniform" else byte % 32 - 7)
    digits = Fraction(w % 2**23, 2**23) + Fraction(mixed((w + 0x9E3779B9) % 2**32) >> 3, 2**52)
    precision = 2 ** (form.precision - 1)
    significand = 1 + Fraction(int(digits * precision), precision)
    sign = -1 if w >> 31 else 1
    if power >= form.highest:
        return sign * inf
    unit = Fraction(2) ** form.lowest
    return sign * (significand * Fraction(2) ** power // unit) * unit


@given(
    kind=st.sampled_from(("uniform", "wide")),
    seed=SEEDS,
    exponent=st.integers(-1200, 1200) | st.integers(-160, 140) | st.integers(-30, 20),
    fan_in=st.integers(1, 300),
    name=st.sampled_from(DTYPES),
)
def test_random_numbers_are_as_described(kind: str, seed: int, exponent: int, fan_in: int, name: str) -> None:
    form = FORMATS[name]
    drawn = Values(kind, seed=seed, exponent=exponent).tensor((3, 4), name, fan_in).double().flatten().tolist()
    scaled = exponent - fan_in.bit_length() // 2
    assert drawn == [random_number(kind, seed, i, scaled, form) for i in range(12)]


@given(seed=SEEDS, size=st.integers(0, 40), numbers=st.lists(st.integers(-4, 4), min_size=1, max_size=5).map(tuple))
def test_choices_follow_the_stream(seed: int, size: int, numbers: tuple[int, ...]) -> None:
    drawn = Values("choice", numbers, seed).tensor((size,), "float32").tolist()
    assert drawn == [numbers[word(seed, i) % len(numbers)] for i in range(size)]


@given(
    numbers=st.lists(st.integers(-9, 9), max_size=7).map(tuple),
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple),
    rows=st.integers(0, 5),
    put=st.lists(st.tuples(st.integers(0, 99), st.integers(20, 30)), max_size=2).map(tuple),
)
def test_cycles_repeat_rows_repeat_and_what_is_put_stands_there(
    numbers: tuple[int, ...], shape: tuple[int, ...], rows: int, put: tuple[tuple[int, int], ...]
) -> None:
    size, row = prod(shape), prod(shape[1:])
    expected = [numbers[i % len(numbers)] if numbers else 0 for i in range(size)]
    if rows:
        expected = [expected[i % (rows * row)] for i in range(size)]
    for i, number in put if size else ():
        expected[i % size] = number
    drawn = Values(numbers=numbers, rows=rows, put=put).tensor(shape, "bfloat16")
    assert drawn.shape == shape
    assert drawn.flatten().tolist() == expected


def magnitudes(form: Format) -> list[Fraction]:
    """All that the format can hold, infinity as the next power of two."""
    bits = torch.arange(form.infinity, dtype=torch.int64).to(form.integer)
    return [Fraction(value) for value in bits.view(form.dtype).double().tolist()] + [Fraction(2) ** form.highest]


MAGNITUDES = {name: magnitudes(FORMATS[name]) for name in ("float16", "bfloat16")}


@given(
    value=st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1e5, 1e5) | st.floats(-1e-4, 1e-4),
    exponent=st.integers(-300, 300) | st.integers(-3, 3),
    name=st.sampled_from(tuple(MAGNITUDES)),
)
def test_numbers_round_to_nearest_ties_to_even(value: float, exponent: int, name: str) -> None:
    form, table = FORMATS[name], MAGNITUDES[name]
    exact = abs(Fraction(value)) * Fraction(2) ** exponent
    above = min(bisect_left(table, exact), len(table) - 1)
    nearest = min((above, max(above - 1, 0)), key=lambda i: (abs(table[i] - exact), i % 2))  # the index is the bits
    assert encoded(value, exponent, form) & ((1 << form.size) - 1) == nearest | (struct.pack(">d", value)[0] >> 7) << (
        form.size - 1
    )


@given(st.floats(width=64))
def test_doubles_are_themselves_and_floats_are_what_c_makes_of_them(value: float) -> None:
    held = Values(numbers=(value,))
    double = held.tensor((1,), "float64").item()
    assert (isnan(value) and isnan(double)) or struct.pack(">d", double) == struct.pack(">d", value)
    try:
        single = struct.unpack(">f", struct.pack(">f", value))[0]
    except OverflowError:
        single = inf if value > 0 else -inf
    assert str(held.tensor((1,), "float32").item()) == str(single)


def test_the_first_numbers_of_the_format_stay_as_they_are() -> None:
    """Saved networks must build the same bits in the next release."""
    assert Values("uniform", seed=1).tensor((3,), "float64").tolist() == [
        -1.4900610524238955,
        -0.4510798568415049,
        -0.9387278661765306,
    ]
    assert Values("wide", seed=1).tensor((3,), "float64").tolist() == [
        -5.684131822295744e-06,
        -8.603665482359026e-07,
        -5.7295401988313635e-05,
    ]


@pytest.fixture
def odd_settings():
    """Flushing subnormals, another default dtype, an advanced generator."""
    flushes = torch.set_flush_denormal(True)
    torch.set_default_dtype(torch.float16)
    yield flushes
    torch.set_default_dtype(torch.float32)
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("name", DTYPES)
def test_torch_settings_make_no_difference(name: str, odd_settings: bool) -> None:
    form = FORMATS[name]
    values = (Values("wide", seed=3, exponent=form.lowest + 5), Values(numbers=(3, 1e-310), exponent=form.lowest // 2))
    state = torch.random.get_rng_state()
    with torch.inference_mode():
        flushed = [value.tensor((64,), name).view(form.integer) for value in values]
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.set_flush_denormal(False)
    for value, bits in zip(values, flushed, strict=True):
        assert torch.equal(value.tensor((64,), name).view(form.integer), bits)
        tiny = torch.finfo(form.dtype).tiny
        numbers = bits.view(form.dtype)
        assert ((numbers != 0) & (numbers.abs() < tiny)).any() or value.kind == "cycle"


def test_numbers_are_equal_exactly_if_their_bits_are() -> None:
    assert Values(numbers=(float("nan"), 1.0, -0.0)) == Values(numbers=("nan", 1, "-0.0"))
    assert Values(numbers=(0.0,)) != Values(numbers=(-0.0,))
    assert hash(Values(numbers=(2.0,))) == hash(Values(numbers=(2,)))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"kind": "normal"}, "kind is 'normal'"),
        ({"kind": ["cycle"]}, "kind is"),
        ({"numbers": (True,)}, r"numbers\[0\] is True"),
        ({"numbers": (1, "one")}, r"numbers\[1\] is 'one'"),
        ({"numbers": (2**53 + 1,)}, r"numbers\[0\] is 9007199254740993"),
        ({"numbers": [1]}, "numbers is"),
        ({"kind": "uniform", "numbers": (1,)}, "numbers is"),
        ({"kind": "uniform", "seed": -1}, "seed is -1"),
        ({"kind": "uniform", "seed": 2**32}, "seed is 4294967296"),
        ({"seed": 1}, "seed is 1"),
        ({"exponent": 5000}, "exponent is 5000"),
        ({"exponent": 1.0}, "exponent is 1.0"),
        ({"rows": -1}, "rows is -1"),
        ({"put": ((0,),)}, r"put\[0\] is"),
        ({"put": ((-1, 0),)}, r"put\[0\]\[0\] is -1"),
        ({"put": ((0, None),)}, r"put\[0\]\[1\] is None"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidProblem, match=f"^{field}"):
        Values(**arguments)  # type: ignore[arg-type]
