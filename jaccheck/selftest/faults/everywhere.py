"""Wrong in all paths together: the majority is no witness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from backpack.core.derivatives.linear import LinearDerivatives
from backpack.core.derivatives.relu import ReLUDerivatives
from backpack.core.derivatives.sigmoid import SigmoidDerivatives
from backpack.core.derivatives.tanh import TanhDerivatives
from torch import Tensor, nn

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.faults.regions import _Given
from jaccheck.selftest.patches import ALL, replaced

Spoil = Callable[[Tensor, Tensor], Tensor]
"""From the right φ'(z) and z to a wrong one."""


def _activation(name: str, words: str, layer: type[nn.Module], derivatives: type, spoil: Spoil) -> Fault:
    """torch's layer and BackPACK's derivatives have the same wrong φ'."""

    def forward(original: Any) -> Any:
        def wrong(self: nn.Module, z: Tensor) -> Tensor:
            with torch.inference_mode(False), torch.enable_grad():
                leaf = (z.clone() if z.is_inference() else z.detach()).requires_grad_()
                value: Tensor = original(self, leaf)
                (slope,) = torch.autograd.grad(value.sum(), leaf)
            return _Given.apply(z, value.detach(), spoil(slope, leaf.detach()))  # type: ignore[no-any-return, no-untyped-call]

        return wrong

    def df(original: Any) -> Any:
        def wrong(self: Any, module: Any, *args: Any, **kwargs: Any) -> Tensor:
            return spoil(original(self, module, *args, **kwargs), module.input0)

        return wrong

    return replaced(name, words, ALL, (layer, "forward", forward), (derivatives, "df", df))


def _weights(name: str, words: str, change: Callable[[Tensor], Tensor]) -> Fault:
    """Gradients of weights are changed in torch and in BackPACK."""

    def grad(original: Any) -> Any:
        def wrong(outputs: Tensor, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            found = original(outputs, inputs, *args, **kwargs)
            of = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
            return tuple(
                change(g) if g is not None and p.dim() == 2 and isinstance(p, nn.Parameter) else g
                for p, g in zip(of, found, strict=True)
            )

        return wrong

    def product(original: Any) -> Any:
        return lambda self, *args, **kwargs: change(original(self, *args, **kwargs))

    return replaced(
        name, words, ALL, (torch.autograd, "grad", grad), (LinearDerivatives, "_weight_jac_t_mat_prod", product)
    )


FAULTS = [
    _activation(
        "everywhere_tanh_halved",
        "Tanh' is half, in torch and in BackPACK",
        nn.Tanh,
        TanhDerivatives,
        lambda s, z: s / 2,
    ),
    _activation(
        "everywhere_tanh_far_out",
        "Tanh' is 0 beyond 2",
        nn.Tanh,
        TanhDerivatives,
        lambda s, z: torch.where(z.abs() > 2, 0 * s, s),
    ),
    _activation(
        "everywhere_sigmoid_sign", "Sigmoid' has the other sign", nn.Sigmoid, SigmoidDerivatives, lambda s, z: -s
    ),
    _activation(
        "everywhere_sigmoid_in_bfloat16",
        "Sigmoid' goes through bfloat16",
        nn.Sigmoid,
        SigmoidDerivatives,
        lambda s, z: s.bfloat16().to(s.dtype),
    ),
    _activation(
        "everywhere_relu_closed",
        "ReLU'(0) is 1",
        nn.ReLU,
        ReLUDerivatives,
        lambda s, z: torch.where(z == 0, 0 * s + 1, s),
    ),
    _activation(
        "everywhere_relu_last_unit",
        "ReLU' of the last unit is 0",
        nn.ReLU,
        ReLUDerivatives,
        lambda s, z: s.index_fill(-1, torch.tensor([s.shape[-1] - 1]), 0),
    ),
    _weights("everywhere_weights_doubled", "weights count twice", lambda g: 2 * g),
    _weights(
        "everywhere_weights_transposed",
        "square weights are transposed",
        lambda g: g.mT if g.shape[-1] == g.shape[-2] else g,
    ),
    _weights("everywhere_weights_one_in_a_thousand", "weights are 0.1 % off", lambda g: g * 1.001),
    _weights(
        "everywhere_weights_last_input",
        "the last of several inputs is 0",
        lambda g: torch.cat((g[..., :-1], 0 * g[..., -1:]), -1) if g.shape[-1] > 1 else g,
    ),
]
