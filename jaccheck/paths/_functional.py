"""What the two paths by `torch.func` share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.func import functional_call

from jaccheck._capabilities import ABSENT
from jaccheck._culprit import culprit, described
from jaccheck._errors import Unsupported

# How torch.func begins, or what it mentions, when it declines a model.
REFUSALS = (
    "vmap",
    "functorch",
    "transform, the function provided",
    "forward AD",
    "Batching rule not implemented",
    "doesn't match the broadcast shape",  # in place on what vmap doesn't batch, as the state with which a GRU begins
    "Cannot access data pointer",  # which no batched tensor has
    "can't be used with Jitted modules",
    "can't be used with nn.DataParallel module",
    "don't yet support saved tensor hooks",  # as of torch.utils.checkpoint
    ABSENT,  # a kernel for this dtype, which forward mode has of its own
)


def of_one_sample(model: nn.Module) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """``(parameters, x[n]) -> f(x)[n]``, ``[C]``."""

    def f(parameters: Mapping[str, Tensor], sample: Tensor) -> Tensor:
        output: Tensor = functional_call(model, dict(parameters), (sample.unsqueeze(0),))
        if len(output.shape) == 0 or len(output) != 1:  # it counts on a number of samples
            words = f"it makes {list(output.shape)} of one sample, and vmap gives it one at a time"
            raise Unsupported(f"{described(model, '')}: {words}")
        return output.squeeze(0)

    return f


@contextmanager
def refusals(model: nn.Module, *others: str) -> Iterator[None]:
    """Turn what torch.func says of a model it can't transform into `Unsupported`; not a word on how fast it is."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop because we have not yet implemented")
            # torch's own call when it loads its rules for forward mode; of which category depends on the release
            warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
            yield
    except (RuntimeError, NotImplementedError) as error:
        if any(words in str(error) for words in (*REFUSALS, *others)):
            words = " ".join(str(error).split())
            raise Unsupported(f"{culprit(model, error)}: {words}") from error
        raise
