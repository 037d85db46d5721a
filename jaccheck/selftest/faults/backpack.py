"""BackPACK is wrong: its derivatives and extensions, replaced from outside."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from backpack.core.derivatives.basederivatives import BaseDerivatives, BaseParameterDerivatives
from backpack.core.derivatives.elu import ELUDerivatives
from backpack.core.derivatives.leakyrelu import LeakyReLUDerivatives
from backpack.core.derivatives.linear import LinearDerivatives
from backpack.core.derivatives.logsigmoid import LogSigmoidDerivatives
from backpack.core.derivatives.mseloss import MSELossDerivatives
from backpack.core.derivatives.relu import ReLUDerivatives
from backpack.core.derivatives.selu import SELUDerivatives
from backpack.core.derivatives.sigmoid import SigmoidDerivatives
from backpack.core.derivatives.tanh import TanhDerivatives
from torch import Tensor

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.patches import SECOND_ORDER, replaced

Change = Callable[[Tensor, Any], Tensor]
"""From a right result and the module to a wrong one."""
BOTH = ("batch_grad", "sqrt_ggn_exact")


def _changed(change: Change) -> Callable[[Any], Any]:
    """A method of a derivatives class, ``(self, module, …) -> Tensor``, whose result is changed."""

    def wrap(original: Any) -> Any:
        def method(self: Any, module: Any, *args: Any, **kwargs: Any) -> Tensor:
            return change(original(self, module, *args, **kwargs), module)

        return method

    return wrap


def _df(name: str, words: str, derivatives: type[BaseDerivatives], change: Change) -> Fault:
    return replaced(name, words, SECOND_ORDER, (derivatives, "df", _changed(change)))


def _linear(name: str, words: str, accused: tuple[str, ...], method: str, change: Change) -> Fault:
    return replaced(name, words, accused, (LinearDerivatives, method, _changed(change)))


def _root(name: str, words: str, change: Change) -> Fault:
    return replaced(name, words, SECOND_ORDER, (MSELossDerivatives, "_sqrt_hessian", _changed(change)))


def _param_mjp(name: str, words: str, accused: tuple[str, ...], change: Callable[[str, Tensor], Tensor]) -> Fault:
    def wrap(original: Any) -> Any:
        def method(self: Any, param_str: str, module: Any, *args: Any, **kwargs: Any) -> Tensor:
            return change(param_str, original(self, param_str, module, *args, **kwargs))

        return method

    return replaced(name, words, accused, (BaseParameterDerivatives, "param_mjp", wrap))


def _each_fifth_doubled(original: Any) -> Any:
    """As `_changed`, of each fifth call since the fault was put in."""
    calls = count(1)
    return _changed(lambda t, module: 2 * t if next(calls) % 5 == 0 else t)(original)


_WEIGHT, _BIAS, _BACK = "_weight_jac_t_mat_prod", "_bias_jac_t_mat_prod", "_jac_t_mat_prod"

FAULTS = [
    _df("backpack_relu_sign", "ReLU' has the other sign", ReLUDerivatives, lambda s, m: -s),
    _df("backpack_relu_closed", "ReLU'(0) is 1", ReLUDerivatives, lambda s, m: (m.input0 >= 0).to(s.dtype)),
    _df(
        "backpack_relu_last_unit",
        "ReLU' of the last unit is 0",
        ReLUDerivatives,
        lambda s, m: s.index_fill(-1, torch.tensor([s.shape[-1] - 1]), 0),
    ),
    _df("backpack_sigmoid_without_complement", "Sigmoid' is σ", SigmoidDerivatives, lambda s, m: m.output),
    _df(
        "backpack_sigmoid_in_a_gap",
        "Sigmoid' is wrong from 1 to 1.25",
        SigmoidDerivatives,
        lambda s, m: torch.where((m.input0 > 1) & (m.input0 < 1.25), 2 * s, s),
    ),
    _df(
        "backpack_sigmoid_in_float16",
        "Sigmoid' is computed in float16",
        SigmoidDerivatives,
        lambda s, m: s.half().to(s.dtype),
    ),
    _df("backpack_tanh_of_the_input", "Tanh' is 1 - z²", TanhDerivatives, lambda s, m: 1 - m.input0**2),
    _df(
        "backpack_tanh_far_out",
        "Tanh' is 0 beyond 4",
        TanhDerivatives,
        lambda s, m: torch.where(m.input0.abs() > 4, 0 * s, s),
    ),
    _df(
        "backpack_elu_without_alpha",
        "ELU' forgets α",
        ELUDerivatives,
        lambda s, m: torch.where(m.input0 < 0, m.input0.exp(), s),
    ),
    _df("backpack_selu_without_scale", "SELU' forgets its scale", SELUDerivatives, lambda s, m: s / 1.0507),
    _df(
        "backpack_leaky_default",
        "LeakyReLU' is 0.01 below 0",
        LeakyReLUDerivatives,
        lambda s, m: torch.where(m.input0 > 0, s, 0 * s + 0.01),
    ),
    _df(
        "backpack_leaky_at_zero",
        "LeakyReLU'(0) is 1",
        LeakyReLUDerivatives,
        lambda s, m: torch.where(m.input0 == 0, 0 * s + 1, s),
    ),
    _df("backpack_logsigmoid_sign", "LogSigmoid' has the other sign", LogSigmoidDerivatives, lambda s, m: -s),
    _df(
        "backpack_sigmoid_first_sample",
        "Sigmoid' is that of the first sample",
        SigmoidDerivatives,
        lambda s, m: s[:1].expand_as(s),
    ),
    _linear("backpack_linear_weight_scaled", "weights count 1.5 times", BOTH, _WEIGHT, lambda t, m: 1.5 * t),
    _linear("backpack_linear_bias_missing", "biases are 0", BOTH, _BIAS, lambda t, m: 0 * t),
    _linear(
        "backpack_linear_weight_transposed",
        "square weights are transposed",
        BOTH,
        _WEIGHT,
        lambda t, m: t.mT if m.in_features == m.out_features else t,
    ),
    _linear(
        "backpack_linear_of_33",
        "layers of 33 inputs count twice",
        BOTH,
        _WEIGHT,
        lambda t, m: 2 * t if m.in_features == 33 else t,
    ),
    _linear(
        "backpack_linear_last_input",
        "the last input of several is 0",
        BOTH,
        _WEIGHT,
        lambda t, m: torch.cat((t[..., :-1], 0 * t[..., -1:]), -1) if m.in_features > 1 else t,
    ),
    _linear("backpack_linear_samples_reversed", "samples are reversed", BOTH, _WEIGHT, lambda t, m: t.flip(1)),
    _linear(
        "backpack_linear_in_bfloat16",
        "weights go through bfloat16",
        BOTH,
        _WEIGHT,
        lambda t, m: t.bfloat16().to(t.dtype),
    ),
    _linear(
        "backpack_linear_back_scaled",
        "what goes back through a Linear is doubled",
        SECOND_ORDER,
        _BACK,
        lambda t, m: 2 * t,
    ),
    _linear(
        "backpack_linear_back_rolled",
        "what goes back through a Linear is off by one",
        SECOND_ORDER,
        _BACK,
        lambda t, m: t.roll(1, -1),
    ),
    _linear(
        "backpack_linear_back_by_diagonal",
        "what goes back through square layers is transposed",
        SECOND_ORDER,
        _BACK,
        lambda t, m: torch.flip(t, (-1,)) if m.in_features == m.out_features else t,
    ),
    _root("backpack_root_of_one", "√2 is missing", lambda t, m: t / 2**0.5),
    _root("backpack_root_mean", "the loss counts as a mean", lambda t, m: t / t.shape[1] ** 0.5),
    _root("backpack_root_off_by_one", "classes are off by one", lambda t, m: t.roll(1, -1)),
    _root("backpack_root_in_float32", "√2 is a float16", lambda t, m: t.half().to(t.dtype)),
    _root(
        "backpack_root_many_classes",
        "from 9 classes on the last is 0",
        lambda t, m: t.index_fill(-1, torch.tensor([t.shape[-1] - 1]), 0) if t.shape[-1] > 8 else t,
    ),
    _param_mjp(
        "backpack_bias_by_weight",
        "biases are halved in either extension",
        BOTH,
        lambda p, t: t / 2 if p == "bias" else t,
    ),
    _param_mjp(
        "backpack_mjp_two_ulps",
        "all is two units in the last place off",
        BOTH,
        lambda p, t: t * (1 + 2 * torch.finfo(t.dtype).eps),
    ),
    replaced(
        "backpack_linear_each_fifth_call",
        "each fifth call is doubled",
        SECOND_ORDER,
        (LinearDerivatives, _BACK, _each_fifth_doubled),
    ),
]
