"""Random networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._containers import Sequential
from jaccheck._history import HOOKS, USES, Hook
from jaccheck._layers import Flatten, Linear
from jaccheck._layouts import LAYOUTS
from jaccheck._network import Network
from jaccheck._values import DTYPES

from . import sizes
from ._choices import BYTES, Choices
from .blocks import OPTIONAL, SEVERAL, Built, alike, block, built, extra
from .targets import chosen, computes, targets
from .values import REGIMES, ordered, recipes, special

EVERYTHING = MappingProxyType(
    dict.fromkeys(
        (
            *("residual", "reuse", "tied", "containers", "functional"),
            *("switch", "dropout", "modes", "hooks", "retained", "used_before"),
        ),
        True,
    )
)
"""The arguments of `networks` that ask for what makes libraries stumble, besides hard numbers: as ``**EVERYTHING``."""
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
    switch: bool = False,
    dropout: bool = False,
    modes: bool = False,
    hooks: bool = False,
    retained: bool = False,
    used_before: bool = False,
) -> SearchStrategy[Network]:
    """Feed-forward networks with a batch, most of them small.

    They shrink to one sample through one ``Linear(1, 1)``, all numbers 0, in float64 on the CPU.

    Args:
        min_batch, max_batch: N; mostly 1 to 4.
        max_width: of layers and inputs; mostly up to 8, seldom above 64.
        max_depth: hidden layers, from 0; two in three times up to 4.
        max_outputs: N·C, which is the number of backward passes of the loop over the outputs.
        max_jacobian: N·C·P, the entries of the Jacobian, P being the number of parameters.
        activations: names from `ACTIVATIONS`; three networks in four keep to those which BackPACK has rules for.
        dtypes, devices: names; devices None means the CPU and each CUDA device there is.
        values: what the numbers are like, names from `REGIMES`.
        frozen: some parameters don't require grad (always at least one does).
        residual, reuse, tied: sums ``a + layers(a)``; the same layers twice; two layers with the same parameters.
        containers, functional: modules of our own instead of `Sequential`, and instead of `torch.nn.ReLU`, ….
        switch: one of two parts, the other of which isn't active.
        dropout: Dropout, in training mode (then `check` needs a seed, see `Network.random`) and in evaluation mode.
        modes: a module in training mode in a model that isn't, or the other way round.
        hooks: a user's hooks on modules and parameters, which change no value.
        retained: x is the result of an operation and retains its gradient.
        used_before: the model has been used with other parts active, under BackPACK too.
    Raises:
        InvalidArgument: the limits can't be met, or a name is unknown.
    """
    for name, limit, least in (
        ("min_batch", min_batch, 0),
        ("max_batch", max_batch, min_batch),
        ("max_width", max_width, 1),
        ("max_depth", max_depth, 0),
        ("max_outputs", max_outputs, max(1, min_batch)),
        ("max_jacobian", max_jacobian, (4 if switch else 2) * (max_depth + 1) * max(1, min_batch)),
    ):
        if type(limit) is not int or limit < least:
            raise InvalidArgument(f"{name}={limit!r} should be an integer of at least {least}")
    optional = (residual, reuse, tied, containers, functional, switch, dropout)
    asked_for = [form for form, wanted in zip(OPTIONAL, optional, strict=True) if wanted]
    limits = _Limits(
        batches=tuple(sizes.batches(min_batch, max_batch)),
        widths=tuple(sizes.widths(max_width)),
        outputs=tuple(sizes.outputs(max_width)),
        inputs=tuple(sizes.inputs(max_width)),
        targets=targets(dtypes, devices),
        regimes=ordered(chosen("values", values, REGIMES)),
        forms=(*_FORMS, "last first") if containers else _FORMS,
        built=_tables(asked_for, frozen),
        modes=_MODES if modes else ((),),
        hooks=_HOOKED if hooks else (0,),
        retained=_SELDOM if retained else (False,),
        uses=_USES if used_before else ("",),
        activations=chosen("activations", activations, DEFAULT_ACTIVATIONS),
        min_batch=min_batch,
        max_outputs=max_outputs,
        max_jacobian=max_jacobian,
    )
    blocks = st.binary(min_size=BYTES, max_size=BYTES)
    few, some, all_of_them = (
        st.lists(blocks, min_size=min(low, max_depth + 1), max_size=min(high, max_depth) + 1)
        for low, high in ((1, 2), (2, 4), (1, max_depth))
    )

    lists = st.one_of(few, some, all_of_them)

    @st.composite  # not builds(), which would be shown as a call with these bytes
    def network(draw: st.DrawFn) -> Network:
        head = draw(blocks) + draw(blocks)
        return _network(limits, head, draw(lists))  # the list last: what is missing at the end becomes zeros

    return network()


@dataclass(frozen=True)
class _Limits:
    """The tables to choose from, and the limits to keep to."""

    batches: tuple[int, ...]
    widths: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    targets: tuple[tuple[str, str], ...]
    regimes: tuple[str, ...]
    forms: tuple[str, ...]
    built: tuple[tuple[Built, ...], ...]
    modes: tuple[tuple[int, ...], ...]
    hooks: tuple[int, ...]
    retained: tuple[bool, ...]
    uses: tuple[str, ...]
    activations: tuple[str, ...]
    min_batch: int
    max_outputs: int
    max_jacobian: int


_HOOKED = (*(0,) * 12, 1, 1, 2, 2)  # how many
_MODES = (*((),) * 208, *((at,) for at in range(48)))  # which module is in the other one, if any
_FORMS = ("", "", "alone", "", "alone", "", "alone", "whole")
_FLAGS = ((False, True), (True, True), (False, False), (True, False))
_SELDOM = (*(False,) * 7, True)
_USES = (*("",) * 6, "autograd", *USES[1:])
_LAYOUTS = (*("contiguous",) * 8, *LAYOUTS[1:])


def _network(limits: _Limits, head: bytes, blocks: list[bytes]) -> Network:
    choices = Choices(head)
    dtype, device = choices.pick(limits.targets)
    regime = choices.pick(limits.regimes)
    names = choices.pick(_palettes(limits.activations, dtype, device))
    form = choices.pick(limits.forms)
    layout = choices.pick(_LAYOUTS)
    (requires_grad, training), other_mode = choices.pick(_FLAGS), choices.pick(limits.modes)
    before = choices.pick(extra(names))
    bare = choices.pick((False, False, True, True, True))  # no activation behind the last layer
    batch, inputs = choices.pick(limits.batches), choices.pick(limits.inputs)
    x = choices.pick(recipes(regime, "x", dtype))(choices.seed())
    forms, used_before, retained = choices.pick(limits.built), choices.pick(limits.uses), choices.pick(limits.retained)
    hooks = _hooks(choices, choices.pick(limits.hooks))
    if regime in ("nonfinite", "extreme"):
        x = replace(x, put=special(choices, dtype, finite=regime == "extreme"))

    drawn = [block(Choices(data), regime, dtype, names, limits.widths, forms) for data in blocks[:-1]]
    drawn.append(block(Choices(blocks[-1]), regime, dtype, names, limits.outputs, forms))
    if bare:
        drawn[-1] = replace(drawn[-1], activations=())
    if not any(_trainable(block.linear) for block in drawn):  # then the last bias, or weight, is
        linear = drawn[-1].linear
        drawn[-1] = replace(drawn[-1], linear=replace(linear, frozen=() if linear.bias is None else ("weight",)))
    batch, inputs, widths = sizes.fitted(
        batch,
        inputs,
        [block.linear.width for block in drawn],
        min_batch=limits.min_batch,
        max_outputs=limits.max_outputs,
        max_jacobian=limits.max_jacobian,
        twice=[block.form == "switch" for block in drawn],
    )
    layers = (
        *(() if before is None else (before,)),
        *((Flatten(),) if len(inputs) > 1 else ()),
        *(layer for block, width in zip(drawn, widths, strict=True) for layer in block.layers(width)),
    )
    if form == "whole":  # in one more Sequential
        layers = (Sequential(layers),)
    if form == "last first":
        layers = (Sequential(layers, own=True, last_first=True),)
    return Network(
        layers=layers,
        bare=form in ("alone", "last first") and len(layers) == 1,
        batch=batch,
        inputs=inputs,
        x=x,
        dtype=dtype,
        device=device,
        x_layout=layout,
        x_requires_grad=requires_grad,
        training=training,
        other_mode=other_mode,
        x_retains_grad=retained,
        hooks=hooks,
        used_before=used_before,
    )


def _hooks(choices: Choices, number: int) -> tuple[Hook, ...]:
    """Every second one is the one before once more, at the same place: then their order matters."""
    hooks: list[Hook] = []
    for _ in range(number):
        kind = choices.pick((*HOOKS, *("" for _ in HOOKS)) if hooks else HOOKS)
        place = choices.pick(range(64))
        hooks.append(Hook(kind, place) if kind else hooks[-1])
    return tuple(hooks)


def _tables(asked_for: Sequence[str], frozen: bool) -> tuple[tuple[Built, ...], ...]:
    """Of seven networks three have no form asked for, so that all paths do them, and two have several blocks of one."""
    several = tuple(alike(form, frozen) for form in SEVERAL if form in asked_for)
    number = max(1, len(several))
    none, some = built((), frozen), built(asked_for, frozen)
    return (*(none,) * (3 * number // 2), *(some,) * number, *several)


@cache
def _palettes(names: tuple[str, ...], dtype: str, device: str) -> tuple[tuple[str, ...], ...]:
    """Twice those for which all paths have rules, once the others; only what this torch computes in the dtype."""
    every = tuple(name for name in names if computes(name, dtype, device))
    core = tuple(name for name in every if name in CORE)
    others = tuple(name for name in every if name not in CORE)
    return (core, core, others or core) if core else (every,)


def _trainable(linear: Linear) -> bool:
    return len(linear.frozen) < 1 + (linear.bias is not None)
