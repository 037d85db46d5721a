"""Random networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import product
from math import prod

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._layers import LAYOUTS, Activation, Dropout, Flatten, Layer, Linear, Repeat, Residual, Sequential
from jaccheck._network import Network
from jaccheck._values import DTYPES, Values

from .activations import PER_NAME, table
from .targets import chosen, computes, present
from .values import REGIMES, SEEDS, Recipe, ordered, recipes, specials

DEFAULT_ACTIVATIONS = tuple(ACTIVATIONS)


def networks(
    *,
    min_batch: int = 0,
    max_batch: int = 33,
    max_width: int = 257,
    max_depth: int = 8,
    max_outputs: int = 64,
    max_jacobian: int = 2**17,
    activations: Sequence[str] = DEFAULT_ACTIVATIONS,
    dtypes: Sequence[str] = DTYPES,
    devices: Sequence[str] | None = None,
    values: Sequence[str] = REGIMES,
    frozen: bool = True,
    residual: bool = False,
    reuse: bool = False,
    tied: bool = False,
    containers: bool = False,
    functional: bool = False,
    dropout: bool = False,
) -> SearchStrategy[Network]:
    """Feed-forward networks with a batch, most of them small.

    They shrink to one sample through one ``Linear(1, 1)``, all numbers 0, in float64 on the CPU.

    Args:
        min_batch, max_batch: N; mostly 1 to 4.
        max_width: of layers and inputs; mostly up to 8, seldom above 64.
        max_depth: hidden layers, from 0; mostly up to 3.
        max_outputs: N·C, which is the number of backward passes of the loop over the outputs.
        max_jacobian: N·C·P, the entries of the Jacobian, P being the number of parameters.
        activations: names from `ACTIVATIONS`; three networks in four keep to those which BackPACK has rules for.
        dtypes, devices: names; devices None means the CPU and each CUDA device there is.
        values: what the numbers are like, names from `REGIMES`.
        frozen: some parameters don't require grad (always at least one does).
        residual, reuse, tied: sums ``a + layers(a)``; the same layers twice; two layers with the same parameters.
        containers, functional: modules of our own instead of `Sequential`, and instead of `torch.nn.ReLU`, ….
        dropout: Dropout, in training and in evaluation mode.
    Raises:
        InvalidArgument: the limits can't be met, or a name is unknown.
    """
    for name, limit, least in (
        ("min_batch", min_batch, 0),
        ("max_batch", max_batch, min_batch),
        ("max_width", max_width, 1),
        ("max_depth", max_depth, 0),
        ("max_outputs", max_outputs, max(1, min_batch)),
        ("max_jacobian", max_jacobian, 2 * (max_depth + 1) * max(1, min_batch)),
    ):
        if type(limit) is not int or limit < least:
            raise InvalidArgument(f"{name}={limit!r} should be an integer of at least {least}")
    places = chosen("devices", present() if devices is None else devices, present())
    optional = {
        "residual": residual,
        "reuse": reuse,
        "tied": tied,
        "own": containers,
        "functional": functional,
        "dropout": dropout,
    }
    limits = _Limits(
        batches=st.sampled_from(_batches(min_batch, max_batch)),
        widths=st.sampled_from(widths(max_width)),
        inputs=st.sampled_from(_inputs(max_width)),
        targets=st.sampled_from(list(product(chosen("dtypes", dtypes, DTYPES), places))),
        regimes=st.sampled_from(ordered(chosen("values", values, REGIMES))),
        built=st.sampled_from(_built([name for name, wanted in optional.items() if wanted], frozen)),
        activations=chosen("activations", activations, DEFAULT_ACTIVATIONS),
        min_batch=min_batch,
        max_depth=max_depth,
        max_outputs=max_outputs,
        max_jacobian=max_jacobian,
    )
    return _networks(limits)


@cache
def widths(max_width: int = 257) -> tuple[int, ...]:
    """Widths up to `max_width` in ascending order, as often as they are to be drawn."""
    often = {1: 44, 2: 44, 3: 44, 4: 44, 5: 20, 6: 20, 7: 20, 8: 20} | dict.fromkeys(range(9, 17), 4)
    often |= dict.fromkeys(range(17, 65), 1)
    large = [2**k + offset for k in range(6, max_width.bit_length()) for offset in (-1, 0, 1)]
    often |= dict.fromkeys((width for width in large if width > 64), 1)
    return tuple(width for width, times in often.items() if width <= max_width for _ in range(times))


def _batches(min_batch: int, max_batch: int) -> tuple[int, ...]:
    often = {n: 12 if n <= 2 else 8 if n <= 4 else 2 if n <= 8 else 1 for n in range(1, min(max_batch, 17) + 1)}
    often |= {n: 1 for k in range(5, max_batch.bit_length()) for n in (2**k - 1, 2**k, 2**k + 1) if 17 < n <= max_batch}
    often |= {max_batch: 1, 0: 3}  # N = 0 last: it isn't simpler than one sample
    return tuple(n for n, times in often.items() if min_batch <= n <= max_batch for _ in range(times))


def _inputs(max_width: int) -> tuple[tuple[int, ...], ...]:
    flat: list[tuple[int, ...]] = [(width,) for width in widths(max_width)]
    shapes: list[tuple[int, ...]] = [
        (1, 1),
        (2, 1),
        (1, 2),
        (2, 2),
        (2, 3),
        (3, 2),
        (1, 1, 1),
        (2, 1, 2),
        (2, 2, 2),
        (4, 4),
    ]
    images = [shape for shape in shapes if prod(shape) <= max_width]
    return tuple(
        sorted(flat + images * (len(flat) // (10 * len(images) + 1)), key=lambda shape: (prod(shape), len(shape)))
    )


@dataclass(frozen=True, eq=False)  # hashed by identity, in no time
class _Limits:
    batches: SearchStrategy[int]
    widths: SearchStrategy[int]
    inputs: SearchStrategy[tuple[int, ...]]
    targets: SearchStrategy[tuple[str, str]]
    regimes: SearchStrategy[str]
    built: SearchStrategy[tuple[str, tuple[str, ...]]]
    activations: tuple[str, ...]
    min_batch: int
    max_depth: int
    max_outputs: int
    max_jacobian: int


@dataclass(frozen=True)
class _Block:
    """A Linear, the activations behind it, and how the two are put together."""

    linear: Linear
    activations: tuple[Activation, ...]
    form: str

    def layers(self, width: int) -> tuple[Layer, ...]:
        linear = replace(self.linear, width=width)
        inner: tuple[Layer, ...] = (linear, *self.activations)
        if self.form == "functional":
            return (linear, *(replace(activation, functional=True) for activation in self.activations))
        if self.form == "dropout":
            return (*inner, Dropout())
        if self.form in _SQUARE:
            return (_SQUARE[self.form](inner),)
        return inner if self.form == "plain" else (Sequential(inner, own=self.form == "own"),)


_SQUARE: dict[str, Callable[[tuple[Layer, ...]], Layer]] = {  # their Linear keeps the width
    "residual": Residual,
    "reuse": Repeat,
    "tied": partial(Repeat, tied=True),
}
_FROZEN = (("weight",), ("bias",), ("bias", "weight"))


# How often each entry of a table stands there is how often it is drawn, as long as there are at most 256: Hypothesis
# draws larger integers less often.


def _built(optional: Sequence[str], frozen: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Forms and frozen parameters of blocks, the plain ones first."""
    forms, parts = ("nested", *optional), _FROZEN if frozen else ()
    found: list[tuple[str, tuple[str, ...]]] = [("plain", ())] * 70
    found += [(form, ()) for form in forms for _ in range(8)]
    found += [("plain", part) for part in parts for _ in range(3)]
    return found + list(product(forms, parts))


def _share(lists: list[tuple[Activation, ...]], none: float) -> SearchStrategy[tuple[Activation, ...]]:
    """One of `lists`, or no activation."""
    return st.sampled_from([(), *[()] * round(none / (1 - none) * len(lists)), *lists])


@cache
def _hidden_activations(names: tuple[str, ...]) -> SearchStrategy[tuple[Activation, ...]]:
    one = table(names)
    pairs = [(one[i], one[(7 * i + 5) % len(one)]) for i in range(0, len(one), 6)]
    return _share([(activation,) for activation in one] + pairs, 0.08)


@cache
def _last_activations(names: tuple[str, ...]) -> SearchStrategy[tuple[Activation, ...]]:
    return _share([(activation,) for activation in table(names)[::2]], 0.6)


@cache
def _first_activations(names: tuple[str, ...]) -> SearchStrategy[tuple[Activation, ...]]:
    return _share([(table((name,))[i % PER_NAME],) for i, name in enumerate(names)], 0.9)


@cache
def _recipes(regime: str, role: str, dtype: str) -> SearchStrategy[Recipe | None]:
    """For a bias None, too: there is none."""
    found = recipes(regime, role, dtype)
    return st.sampled_from((*found, *(None,) * (len(found) // 3)) if role == "bias" else found)


@lru_cache(maxsize=4096)
def _blocks(
    limits: _Limits, regime: str, dtype: str, activations: SearchStrategy[tuple[Activation, ...]]
) -> SearchStrategy[_Block]:
    return st.builds(
        _block,
        limits.widths,
        activations,
        _recipes(regime, "weight", dtype),
        SEEDS,
        _recipes(regime, "bias", dtype),
        SEEDS,
        limits.built,
    )


def _block(
    width: int,
    activations: tuple[Activation, ...],
    weight: Recipe,
    weight_seed: int,
    bias: Recipe | None,
    bias_seed: int,
    built: tuple[str, tuple[str, ...]],
) -> _Block:
    form, frozen = built
    linear = Linear(
        width=0 if form in _SQUARE else width,
        weight=weight(weight_seed),
        bias=None if bias is None else bias(bias_seed),
        frozen=frozen if bias is not None else tuple(name for name in frozen if name == "weight"),
    )
    return _Block(linear, activations, form)


_PLAIN_INPUT = ("contiguous", False, True, False)
_INPUTS = st.sampled_from(
    sorted(  # layout of x, whether it requires grad, training mode, all layers in one more Sequential
        product(("contiguous",) * 5 + LAYOUTS, (False, True), (True, False), (False,) * 5 + (True,)),
        key=lambda drawn: sum(a != b for a, b in zip(drawn, _PLAIN_INPUT, strict=True)),
    )
)


@st.composite
def _networks(draw: DrawFn, limits: _Limits) -> Network:
    dtype, device = draw(limits.targets)
    regime = draw(limits.regimes)
    names = draw(_palettes(limits.activations, dtype, device))
    blocks = draw(_hidden(limits, regime, dtype, names))
    blocks.append(draw(_blocks(limits, regime, dtype, _last_activations(names))))
    first = draw(_first_activations(names))
    inputs = draw(limits.inputs)
    batch = draw(limits.batches)
    x = draw(_inputs_values(regime, dtype))
    layout, requires_grad, training, whole = draw(_INPUTS)
    if regime == "nonfinite":
        x = replace(x, put=draw(specials(dtype)))

    if not any(_trainable(block.linear) for block in blocks):
        blocks[-1] = replace(blocks[-1], linear=replace(blocks[-1].linear, frozen=()))
    batch, inputs, fitting = _fitted(limits, batch, inputs, [block.linear.width for block in blocks])
    flatten = (Flatten(),) if len(inputs) > 1 else ()
    body = tuple(layer for block, width in zip(blocks, fitting, strict=True) for layer in block.layers(width))
    layers = (*first, *flatten, *body)
    return Network(
        layers=(Sequential(layers),) if whole else layers,
        batch=batch,
        inputs=inputs,
        x=x,
        dtype=dtype,
        device=device,
        x_layout=layout,
        x_requires_grad=requires_grad,
        training=training,
    )


@lru_cache(maxsize=4096)
def _hidden(limits: _Limits, regime: str, dtype: str, names: tuple[str, ...]) -> SearchStrategy[list[_Block]]:
    block = _blocks(limits, regime, dtype, _hidden_activations(names))
    two, four, all_of_them = (
        st.lists(block, max_size=min(size, limits.max_depth)) for size in (2, 4, limits.max_depth)
    )
    return st.one_of(two, two, two, two, four, four, four, all_of_them)


@cache
def _inputs_values(regime: str, dtype: str) -> SearchStrategy[Values]:
    return st.builds(Recipe.__call__, st.sampled_from(recipes(regime, "x", dtype)), SEEDS)


@cache
def _palettes(names: tuple[str, ...], dtype: str, device: str) -> SearchStrategy[tuple[str, ...]]:
    """Three times those for which all paths have rules, once all; only what this torch computes in the dtype."""
    every = tuple(name for name in names if computes(name, dtype, device))
    core = tuple(name for name in every if name in CORE)
    return st.sampled_from((core, core, core, every) if core else (every,))


def _trainable(linear: Linear) -> bool:
    return len(linear.frozen) < 1 + (linear.bias is not None)


def _fitted(
    limits: _Limits, batch: int, inputs: tuple[int, ...], widths: list[int]
) -> tuple[int, tuple[int, ...], list[int]]:
    """The same, halved here and there until ``N C`` and ``N C P`` keep to their limits."""
    while True:
        shape, parameters = prod(inputs), 0
        for width in widths:
            parameters += (width or shape) * (shape + 1)
            shape = width or shape
        outputs = max(batch, 1) * shape
        if outputs <= limits.max_outputs and outputs * parameters <= limits.max_jacobian:
            return batch, inputs, widths
        last = max((i for i, width in enumerate(widths) if width), default=-1)  # where C comes from; -1: the input
        widest = max(range(-1, len(widths)), key=lambda i: prod(inputs) if i < 0 else widths[i])
        too_many = outputs > limits.max_outputs or outputs > 4
        if too_many and batch // 2 >= max(limits.min_batch, 1) and batch >= shape:
            batch //= 2
            continue
        narrowed = last if too_many and shape > 1 else widest
        if narrowed < 0:
            inputs = (max(prod(inputs) // 2, 1),)
        else:
            widths = [max(width // 2, 1) if i == narrowed else width for i, width in enumerate(widths)]
