"""What BackPACK shares where it should keep things apart: results, inputs, and what it holds for a piece of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck._problem import Problem
from jaccheck.defects.scene import Rows, Scene, gradients, hooked

LAYER, PARAMETER = "layer", "parameter"


@dataclass(frozen=True)
class Overwritten:
    """BackPACK keeps one result for each parameter, and one input for each layer, each the last one.

    So of a `Linear` used several times (`shared` "layer") the parameters get the result of the use that the backward
    pass reaches last, the first one, with the input of the last use. Of several layers with one parameter (`shared`
    "parameter") it gets that of the layer that the backward pass reaches last.
    """

    shared: str

    def applies(self, scene: Scene) -> bool:
        if self.shared == PARAMETER:
            held = [id(p) for module in _linears(scene) for p in module.parameters()]
            return len(set(held)) < len(held)
        uses: list[nn.Module] = []
        with hooked(_linears(scene), lambda module, args, output: uses.append(module)), torch.no_grad():
            scene.problem.model(scene.problem.x)
        return len(set(uses)) < len(uses)

    def marking(self, scene: Scene, slope: float) -> None:
        return None

    @contextmanager
    def changing(self, scene: Scene) -> Iterator[None]:
        yield


def _linears(scene: Scene) -> list[nn.Linear]:
    return [module for module in scene.problem.model.modules() if isinstance(module, nn.Linear)]


class Overwriting:
    """The Jacobian that `Overwritten` describes, column by column, as a backward pass of ``f(x)[:, c].sum()`` has it.

    Of the whole batch, so that it rounds as BackPACK does: what the true Jacobian's radius is made of are other inputs.
    Rows are independent all the same, since no product sums over the samples.
    """

    def __init__(self, scene: Scene, shared: set[str]) -> None:
        self.scene, self.shared = scene, shared
        self._columns: dict[int, dict[str, Tensor]] = {}

    def each(self) -> Iterator[Rows]:
        """Of each sample with something outside its rows outside."""
        for n, classes in self.scene.rows_outside.items():
            for c in classes:
                if c not in self._columns:
                    self._columns[c] = self._column(c)
            yield (
                [n],
                classes,
                {
                    name: torch.stack([self._columns[c][name][n] for c in classes])[None]
                    for name in self.scene.problem.parameters
                },
            )

    def _column(self, c: int) -> dict[str, Tensor]:
        uses: list[tuple[nn.Linear, Tensor, Tensor]] = []
        with hooked(_linears(self.scene), lambda module, args, output: uses.append((module, args[0].detach(), output))):
            f = self.scene.outputs()[:, c].sum()
        uses = [use for use in uses if use[2].requires_grad]
        D = gradients(f, [output for _, _, output in uses])
        last = {module: a for module, a, _ in uses}
        results: dict[nn.Linear, list[Tensor]] = {}  # of weight and bias, in the order of the backward pass
        for (module, a, _), d in reversed(list(zip(uses, D, strict=True))):
            result, before = [d[:, :, None] * a[:, None], d], results.pop(module, None)
            if LAYER in self.shared:
                result[0] = d[:, :, None] * last[module][:, None]
            elif before is not None:
                result = [one + other for one, other in zip(before, result, strict=True)]
            results[module] = result
        column: dict[str, Tensor] = {}
        names = {id(p): name for name, p in self.scene.problem.parameters.items()}
        for module, result in results.items():
            for p, value in zip((module.weight, module.bias), result, strict=True):
                name = names.get(id(p))
                if name is not None:
                    lost = PARAMETER in self.shared or name not in column
                    column[name] = value if lost else column[name] + value
        N = self.scene.problem.N
        return {name: column.get(name, p.new_zeros(N, *p.shape)) for name, p in self.scene.problem.parameters.items()}


PASSING = (nn.Identity, nn.Flatten, nn.Dropout)
"""Layers whose output may lie in the memory of their input."""


@dataclass(frozen=True)
class Doubled:
    """SqrtGGNExact keeps what it propagates by the address of a tensor, and longer if that retains its gradient.

    Where a layer's output lies in the memory of its input and retains its gradient, what comes back to the input is
    added to what came to the output.
    """

    shared = ""

    def applies(self, scene: Scene) -> bool:
        found: list[Tensor] = []
        with retained(scene.problem, _passing(scene), found.append):
            scene.outputs()
        return bool(found)

    def marking(self, scene: Scene, slope: float) -> None:
        return None

    @contextmanager
    def changing(self, scene: Scene) -> Iterator[None]:
        def double(output: Tensor) -> Tensor:
            doubled: Tensor = _Twice.apply(output)  # type: ignore[no-untyped-call]
            return doubled

        with retained(scene.problem, _passing(scene), double):
            yield


def _passing(scene: Scene) -> list[nn.Module]:
    return [module for module in scene.problem.model.modules() if isinstance(module, PASSING)]


class _Twice(torch.autograd.Function):
    """t, with twice its gradient."""

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        return t.view_as(t)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return 2 * grads[0]


@contextmanager
def retained(
    problem: Problem, layers: Sequence[nn.Module], replace: Callable[[Tensor], Tensor | None]
) -> Iterator[None]:
    """`replace` the outputs of `layers` that lie in the memory of their input and retain their gradient."""

    def look(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor | None:
        shares = output.numel() > 0 and output.data_ptr() == args[0].data_ptr()
        return replace(output) if shares and output.retains_grad else None

    # as BackPACK's own, it keeps apart the tensors that one layer gives and the next one gets
    handles = [module.register_full_backward_hook(_nothing) for module in problem.model.modules()]
    try:
        with hooked(layers, look):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _nothing(*args: Any) -> None:
    pass
