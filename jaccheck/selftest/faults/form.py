"""The numbers are right, their form isn't."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck.selftest.fault import Fault
from jaccheck.selftest.wrong_paths import altered, computed, right


def _made_of(name: str, words: str, change: Callable[[dict[str, Tensor]], Any], equivalent: str | None = None) -> Fault:
    """The path that gives what `change` makes of the right result."""
    return computed(name, words, lambda model, x: change(right(model, x)), equivalent)


def _raises_for(name: str, words: str, when: Callable[[nn.Module, Tensor], bool]) -> Fault:
    def compute(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        if when(model, x):
            raise IndexError("Dimension out of range")
        return right(model, x)

    return computed(name, words, compute)


def _frozen_ones_too(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return right(deepcopy(model).requires_grad_(), x)


def _first_parameter_only(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    return dict(list(right(model, x).items())[:1])


def _exit(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    if len(x) == 2:
        raise AssertionError
    return right(model, x)


FAULTS = [
    _made_of("returns_none", "nothing is returned", lambda J: None),
    _made_of("returns_a_list", "a list is returned", lambda J: list(J.values())),
    _made_of("wrong_names", "names have a prefix", lambda J: {f"module.{name}": j for name, j in J.items()}),
    _made_of(
        "no_biases", "biases are left out", lambda J: {name: j for name, j in J.items() if not name.endswith("bias")}
    ),
    _made_of("one_more", "there is a parameter that doesn't exist", lambda J: {**J, "more": next(iter(J.values()))}),
    _made_of("numpy_arrays", "arrays instead of tensors", lambda J: {name: j.tolist() for name, j in J.items()}),
    _made_of("none_for_the_last", "the last parameter has None", lambda J: {**J, list(J)[-1]: None}),
    computed("only_the_first_parameter", "the others are left out", _first_parameter_only),
    computed("frozen_ones_too", "frozen parameters are there as well", _frozen_ones_too),
    altered("wrong_dtype", "all is float64", lambda j, at: j.double()),
    altered(
        "wrong_dtype_of_half",
        "float16 results are float32",
        lambda j, at: j.float(),
        lambda at: at.dtype == torch.float16,
    ),
    altered("samples_behind_classes", "[C, N, *p.shape]", lambda j, at: j.transpose(0, 1)),
    altered("flattened", "[N, C, P]", lambda j, at: j.flatten(2)),
    altered("flattened_rows", "[N C, *p.shape]", lambda j, at: j.flatten(0, 1)),
    altered("squeezed", "axes of size 1 are gone", lambda j, at: j.squeeze()),
    altered("no_axis_for_one_class", "[N, *p.shape] where C = 1", lambda j, at: j.squeeze(1)),
    altered("no_axis_for_one_sample", "[C, *p.shape] where N = 1", lambda j, at: j.squeeze(0)),
    altered("one_sample_too_many", "a row of zeros is behind the others", lambda j, at: torch.cat((j, 0 * j[:1]))),
    altered("complex", "all is complex", lambda j, at: torch.complex(j.double(), 0 * j.double())),
    altered("sparse", "all is sparse", lambda j, at: j.to_sparse()),
    _raises_for("raises_for_one_sample", "N = 1 raises", lambda model, x: len(x) == 1),
    _raises_for("raises_for_no_samples", "N = 0 raises", lambda model, x: len(x) == 0),
    _raises_for("raises_for_one_class", "C = 1 raises", lambda model, x: model(x).shape[1] == 1),
    _raises_for(
        "raises_for_frozen_parameters",
        "a frozen parameter raises",
        lambda model, x: any(not p.requires_grad for p in model.parameters()),
    ),
    _raises_for(
        "raises_for_no_bias",
        "a Linear without bias raises",
        lambda model, x: any(isinstance(m, nn.Linear) and m.bias is None for m in model.modules()),
    ),
    _raises_for("raises_in_bfloat16", "bfloat16 raises", lambda model, x: x.dtype == torch.bfloat16),
    _raises_for("raises_for_strides", "an input that isn't contiguous raises", lambda model, x: not x.is_contiguous()),
    _raises_for("raises_for_nan", "NaN in the input raises", lambda model, x: bool(x.isnan().any())),
    _raises_for("raises_for_images", "inputs of more than one axis raise", lambda model, x: x.dim() > 2),
    _raises_for("raises_in_eval_mode", "evaluation mode raises", lambda model, x: not model.training),
    computed("assertion_for_two_samples", "N = 2 fails an assertion", _exit),
    _made_of(
        "in_another_order",
        "parameters are in reverse order",
        lambda J: dict(reversed(J.items())),
        "a mapping has no order",
    ),
    _made_of(
        "attached",
        "results require grad",
        lambda J: {name: j.clone().requires_grad_() for name, j in J.items()},
        "the numbers are right",
    ),
    _made_of(
        "not_contiguous",
        "results are transposed views",
        lambda J: {name: j.transpose(0, 1).contiguous().transpose(0, 1) for name, j in J.items()},
        "the numbers are right",
    ),
]
