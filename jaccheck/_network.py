"""The description of a problem as plain data, from which the same model and input are built everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from ._containers import Layer, count, followed, layers_only, sequential, total_size, within
from ._errors import InvalidProblem
from ._history import USES, Hook, use
from ._json import read, written
from ._layers import MAX_WIDTH, Dropout, Target
from ._layouts import LAYOUTS, arranged
from ._steps import steps
from ._values import DTYPES, ZEROS, Spec, Values, a_bool, a_tuple, an_integer, invalid, one_of

MAX_NUMBERS = 2**25
"""The most parameters, and the most inputs and outputs of layers, that are built (268 MB in float64)."""


@dataclass(frozen=True, repr=False)
class Network(Spec):
    """A feed-forward model and a batch, as plain data: hashable, equal to another if it builds the same bits.

    `build` gives the same bits on every platform, torch release and device: no number comes from torch's generator or
    from floating-point arithmetic, see `Values`.

    Raises:
        InvalidProblem: a field is of the wrong type, out of its range, or doesn't fit to the others (a `Linear` on
            images, say), or there would be more than `MAX_NUMBERS` numbers; the message begins with the field.
    """

    layers: tuple[Layer, ...] = ()
    batch: int = 1  # N, from 0
    inputs: tuple[int, ...] = (1,)  # the shape of one sample
    x: Values = ZEROS
    dtype: str = "float64"
    device: str = "cpu"  # or "cuda:0", …
    x_layout: str = "contiguous"
    x_requires_grad: bool = False
    training: bool = True  # as a module is that was just made
    other_mode: tuple[int, ...] = ()  # which Dropouts, or modules if there are none, aren't; modulo how many
    bare: bool = False  # the model is its only layer, and no Sequential of it
    x_retains_grad: bool = False  # x is the result of an operation, and keeps its gradient
    hooks: tuple[Hook, ...] = ()  # the user's
    used_before: str = ""  # how the model has been used, with other parts active
    steps: tuple[str, ...] = ()  # what happens to the model where the property `sequence` is asked; names of `STEPS`

    def __post_init__(self) -> None:
        layers_only("layers", self.layers)
        count(self.layers)
        an_integer("batch", self.batch, 0, MAX_NUMBERS)
        a_tuple("inputs", self.inputs)
        if not 1 <= len(self.inputs) <= 8:
            raise invalid("inputs", self.inputs, "one to eight sizes")
        for i, size in enumerate(self.inputs):
            an_integer(f"inputs[{i}]", size, 1, MAX_WIDTH)
        if type(self.x) is not Values:
            raise invalid("x", self.x, "Values")
        one_of("dtype", self.dtype, DTYPES)
        if type(self.device) is not str or not re.fullmatch(r"cpu|cuda:(0|[1-9][0-9]?)", self.device):
            raise invalid("device", self.device, "'cpu', 'cuda:0', 'cuda:1', …")
        one_of("x_layout", self.x_layout, LAYOUTS)
        a_bool("x_requires_grad", self.x_requires_grad)
        a_bool("training", self.training)
        a_tuple("other_mode", self.other_mode)
        for i, at in enumerate(self.other_mode):
            an_integer(f"other_mode[{i}]", at, 0, 2**31)
        a_bool("bare", self.bare)
        if self.bare and len(self.layers) != 1:
            raise InvalidProblem(f"bare is for one layer, but layers has {len(self.layers)}")
        steps("steps", self.steps)
        a_bool("x_retains_grad", self.x_retains_grad)
        a_tuple("hooks", self.hooks)
        for i, hook in enumerate(self.hooks):
            if type(hook) is not Hook:
                raise invalid(f"hooks[{i}]", hook, "a Hook")
        one_of("used_before", self.used_before, USES)
        outputs = followed("layers", self.layers, self.inputs)
        if len(outputs) != 1:
            raise InvalidProblem(f"inputs lead to outputs of the shape {list(outputs)}; append a Flatten to layers")
        parameters, features = total_size(self.layers, self.inputs)
        numbers = max(parameters, self.batch * (prod(self.inputs) + features))
        if numbers > MAX_NUMBERS:
            raise InvalidProblem(f"layers and batch need {numbers} numbers, but at most {MAX_NUMBERS} are built")

    @property
    def outputs(self) -> int:
        """C."""
        return followed("layers", self.layers, self.inputs)[0]

    @property
    def parameters(self) -> int:
        """The number of parameters, frozen ones included."""
        return total_size(self.layers, self.inputs)[0]

    @property
    def random(self) -> bool:
        """Whether f(x) may be left to chance, if only with other parts active: `check` needs a seed."""
        layers = within(self.layers, active=False)
        return (self.training or bool(self.other_mode)) and any(
            isinstance(layer, Dropout) and 0 < layer.p < 1 for layer in layers
        )

    @property
    def seed(self) -> int | None:
        """What `check` takes as its seed: 0, or None where nothing is left to chance."""
        return 0 if self.random else None

    def build(self) -> tuple[nn.Module, Tensor]:
        """The model, and the input ``[N, *features]``.

        Raises:
            InvalidProblem: there is no such device here, or no BackPACK if the model has been used with it.
        """
        if self.device != "cpu" and int(self.device[5:]) >= torch.cuda.device_count():
            raise invalid("device", self.device, f"'cpu', or one of the {torch.cuda.device_count()} CUDA devices here")
        with torch.inference_mode(False), torch.no_grad():
            model: nn.Module = sequential(self.layers, self.inputs, Target(self.dtype, self.device))
            model = (next(model.children()) if self.bare else model).train(self.training)
            modules = list(model.modules())
            modules = [module for module in modules if isinstance(module, nn.Dropout)] or modules
            for at in self.other_mode:
                modules[at % len(modules)].training = not self.training
            x = self.x.tensor((self.batch, *self.inputs), self.dtype).to(self.device)
            x = arranged(x, self.x_layout).requires_grad_(self.x_requires_grad)
        with torch.inference_mode(False), torch.enable_grad():
            if self.used_before:
                use(model, torch.ones(2, *self.inputs, dtype=x.dtype, device=x.device), self.used_before)
            for hook in self.hooks:
                hook.register(model)
            if self.x_retains_grad:
                x = x.requires_grad_().view_as(x)
                x.retain_grad()
        return model, x

    def to_json(self) -> str:
        """One line of JSON; what is as by default is left out."""
        return written(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Network:
        """The network that `to_json` wrote.

        Raises:
            InvalidProblem: not JSON, of a newer format, or not a network; the message names the field.
        """
        network: Network = read(cls, text)
        return network
