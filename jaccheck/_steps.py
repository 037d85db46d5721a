"""What may happen to a model in use between two calls of a path, by name and in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ._errors import InvalidProblem
from ._values import a_tuple, one_of

STEPS: Mapping[str, str] = MappingProxyType(
    {
        "again": "another call",
        "ten": "ten more calls",
        "other_samples": "a call with fewer samples, or more",
        "other_input": "other numbers in the same input",
        "one_sample": "other numbers in one sample, which autograd doesn't see",
        "small_input": "a step of one sample to the numbers next to its own",
        "update": "an update of the parameters in place",
        "update_one": "an update of one number of a parameter, and then of another",
        "small_update": "a step of all parameters but one to the numbers next to their own",
        "exchange": "an exchange of the numbers of two parameters",
        "update_data": "an update of the parameters' data, which autograd doesn't see",
        "new_memory": "new memory for the parameters",
        "load": "load_state_dict",
        "move": "a move to another dtype, a call there, and the way back",
        "eval": "a call in eval mode",
        "mixed_modes": "a call with every second module in the other mode",
        "settings": "a call with another setting of an activation, or another part active",
        "freeze": "a parameter frozen for two calls, in the second with other numbers",
        "all_frozen": "a call with all parameters frozen",
        "first_frozen": "another model, of which a parameter is frozen in the first two calls",
        "new_parameters": "other parameters in the place of its own",
        "new_module": "another layer in the place of one",
        "new_activation": "a call with another activation in the place of one",
        "new_head": "a call with another last layer, of one output more",
        "backward": "a backward pass of the user's own",
        "backward_after": "a backward pass of the user's own through a graph from before a call",
        "zero_grad": "a backward pass of the user's own, a call, and zero_grad",
        "grad": "gradients set beforehand",
        "no_grad": "a call under no_grad",
        "inference_mode": "a call under inference_mode",
        "default_dtype": "a call with another default dtype",
        "default_device": "a call with another default device",
        "deterministic": "a call with deterministic algorithms",
        "anomaly": "a call with anomaly detection",
        "deepcopy": "deepcopy",
        "pickle": "pickle",
        "extend": "BackPACK's extend, if it is in use",
        "hooks": "a call with hooks of the user's",
        "interrupt": "an exception in the middle of a call",
        "another_model": "a call for another model",
        "let_go": "the end of another model",
        "other_paths": "calls of other paths",
        "reseed": "a call with other random numbers to come",
        "thread": "a call in another thread",
        "threads": "a call with one more thread of torch's",
        "overwrite": "a result overwritten by its owner",
    }
)
MOST = 64
"""Steps of one sequence."""


def sequence(text: str) -> tuple[str, ...]:
    """The steps of ``"deepcopy,update"``; ``""`` has none.

    Raises:
        InvalidProblem: there is no such step, or there are too many.
    """
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    steps("sequence", names)
    return names


def steps(field: str, names: object) -> None:
    """Refuse what is no sequence of steps."""
    a_tuple(field, names)
    assert isinstance(names, tuple)
    if len(names) > MOST:
        raise InvalidProblem(f"{field} has {len(names)} steps, but should have at most {MOST}")
    for i, name in enumerate(names):
        one_of(f"{field}[{i}]", name, STEPS)
