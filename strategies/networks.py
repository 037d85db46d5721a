"""Random networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import product

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import DrawFn, SearchStrategy

from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._layers import LAYOUTS, Flatten, Linear, Sequential
from jaccheck._network import Network
from jaccheck._values import DTYPES, Values

from . import sizes
from .blocks import Block, Built, blocks, built, first, hidden, last
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
        batches=st.sampled_from(sizes.batches(min_batch, max_batch)),
        widths=st.sampled_from(sizes.widths(max_width)),
        outputs=st.sampled_from(sizes.outputs(max_width)),
        inputs=st.sampled_from(sizes.inputs(max_width)),
        targets=st.sampled_from(list(product(chosen("dtypes", dtypes, DTYPES), places))),
        regimes=st.sampled_from(ordered(chosen("values", values, REGIMES))),
        built=st.sampled_from(built([name for name, wanted in optional.items() if wanted], frozen)),
        activations=chosen("activations", activations, DEFAULT_ACTIVATIONS),
        min_batch=min_batch,
        max_depth=max_depth,
        max_outputs=max_outputs,
        max_jacobian=max_jacobian,
    )
    return _networks(limits)


@dataclass(frozen=True, eq=False)  # hashed by identity, in no time
class _Limits:
    batches: SearchStrategy[int] = field(repr=False)
    widths: SearchStrategy[int] = field(repr=False)
    outputs: SearchStrategy[int] = field(repr=False)
    inputs: SearchStrategy[tuple[int, ...]] = field(repr=False)
    targets: SearchStrategy[tuple[str, str]] = field(repr=False)
    regimes: SearchStrategy[str] = field(repr=False)
    built: SearchStrategy[Built] = field(repr=False)
    activations: tuple[str, ...]
    min_batch: int
    max_depth: int
    max_outputs: int
    max_jacobian: int


_LAYOUTS = st.sampled_from((*("contiguous",) * 8, *LAYOUTS[1:]))
_FLAGS = st.sampled_from(  # x doesn't require grad, training mode, all layers in one more Sequential
    sorted(product((True, False), (True, False), (False,) * 5 + (True,)), key=lambda flags: (flags[2], -sum(flags[:2])))
)


@st.composite
def _networks(draw: DrawFn, limits: _Limits) -> Network:
    dtype, device = draw(limits.targets)
    regime = draw(limits.regimes)
    names = draw(_palettes(limits.activations, dtype, device))
    drawn = draw(_hidden(limits, regime, dtype, names))
    drawn.append(draw(_last(limits, regime, dtype, names)))
    before = draw(first(names))
    inputs = draw(limits.inputs)
    batch = draw(limits.batches)
    x = draw(_inputs_values(regime, dtype))
    layout = draw(_LAYOUTS)
    constant, training, whole = draw(_FLAGS)
    if regime == "nonfinite":
        x = replace(x, put=draw(specials(dtype)))

    if not any(_trainable(block.linear) for block in drawn):
        drawn[-1] = replace(drawn[-1], linear=replace(drawn[-1].linear, frozen=()))
    batch, inputs, widths = sizes.fitted(
        batch,
        inputs,
        [block.linear.width for block in drawn],
        min_batch=limits.min_batch,
        max_outputs=limits.max_outputs,
        max_jacobian=limits.max_jacobian,
    )
    flatten = (Flatten(),) if len(inputs) > 1 else ()
    body = (layer for block, width in zip(drawn, widths, strict=True) for layer in block.layers(width))
    layers = (*before, *flatten, *body)
    return Network(
        layers=(Sequential(layers),) if whole else layers,
        batch=batch,
        inputs=inputs,
        x=x,
        dtype=dtype,
        device=device,
        x_layout=layout,
        x_requires_grad=not constant,
        training=training,
    )


@lru_cache(maxsize=4096)
def _hidden(limits: _Limits, regime: str, dtype: str, names: tuple[str, ...]) -> SearchStrategy[list[Block]]:
    block = blocks(regime, dtype, limits.widths, names, hidden(names), limits.built)
    two, four, more = (st.lists(block, max_size=min(size, limits.max_depth)) for size in (2, 4, limits.max_depth))
    return st.one_of(two, two, two, two, four, four, four, more)


@lru_cache(maxsize=4096)
def _last(limits: _Limits, regime: str, dtype: str, names: tuple[str, ...]) -> SearchStrategy[Block]:
    return blocks(regime, dtype, limits.outputs, names, last(names), limits.built)


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
