"""Sign and factor."""

from __future__ import annotations

from math import sqrt

from torch import Tensor

from jaccheck.selftest.wrong_paths import At, altered


def _first(at: At) -> bool:
    return at.place == 0


FAULTS = [
    altered("sign", "the sign is the other one", lambda j, at: -j),
    altered("sign_of_biases", "the sign of biases is the other one", lambda j, at: -j, lambda at: at.bias),
    altered("sign_of_the_first_layer", "the sign of the first layer is the other one", lambda j, at: -j, _first),
    altered("magnitude", "there is no sign at all", lambda j, at: j.abs()),
    altered("positive_part", "what is negative is 0", lambda j, at: j.clamp(min=0)),
    altered("factor_two", "twice the right value", lambda j, at: 2 * j),
    altered("factor_a_half", "half the right value", lambda j, at: j / 2),
    altered("square_root_of_two", "√2 has been left in", lambda j, at: sqrt(2) * j),
    altered("one_over_square_root_of_two", "√2 has been taken out twice", lambda j, at: j / sqrt(2)),
    altered("a_third", "a third of the right value", lambda j, at: j / 3),
    altered("times_n", "N times the right value", lambda j, at: j * at.N),
    altered("over_n", "the loss was a mean over samples", lambda j, at: j / at.N),
    altered("over_c", "the loss was a mean over classes", lambda j, at: j / at.C),
    altered(
        "over_square_root_of_n_c", "the loss was a mean, and a square root taken", lambda j, at: j / sqrt(at.N * at.C)
    ),
    altered("per_mille", "all is 0.1 % too large", lambda j, at: j * 1.001),
    altered("per_million", "all is 0.0001 % too large", lambda j, at: j * (1 + 1e-6)),
    altered("biases_doubled", "biases count twice", lambda j, at: 2 * j, lambda at: at.bias),
    altered("last_parameter_doubled", "the last parameter counts twice", lambda j, at: 2 * j, lambda at: at.last),
    altered(
        "middle_layers_halved",
        "layers between count half",
        lambda j, at: j / 2,
        lambda at: 1 < at.place < len(at.J) - 2,
    ),
    altered(
        "third_layer_negated", "the third layer has the other sign", lambda j, at: -j, lambda at: at.place in (4, 5)
    ),
    altered("squared", "squares of the right values", lambda j, at: j * j),
    altered("ones_for_what_is_not_zero", "the mask instead of the values", lambda j, at: j.sign()),
    altered("shifted_by_an_ulp_of_one", "eps has been added, against division by zero", lambda j, at: _regularized(j)),
    altered(
        "zeros_negative",
        "zeros have the other sign",
        lambda j, at: j.masked_fill(j == 0, -0.0),
        equivalent="-0 equals 0, and correct paths differ in it",
    ),
]


def _regularized(j: Tensor) -> Tensor:
    return j + j.new_tensor(1e-3)
