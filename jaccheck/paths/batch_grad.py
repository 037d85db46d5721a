"""BackPACK's individual gradients: one backward pass for each output."""

from __future__ import annotations

from backpack import extensions
from torch import Tensor, nn

from jaccheck.paths._backpack import backward, extended, no_rule, refusals
from jaccheck.paths._path import borrowed, leaf, trainable


class BatchGrad:
    """For each output c, one backward pass of ``f(x)[:, c].sum()`` under BackPACK's `BatchGrad`."""

    name = "batch_grad"
    snippet = """
        from backpack import backpack, extend
        from backpack.extensions import BatchGrad


        def jacobian(model, x):
            params = {name: p for name, p in model.named_parameters() if p.requires_grad}
            f = extend(model)(x.requires_grad_())  # [N, C]
            columns = []
            for c in range(f.shape[1]):
                with backpack(BatchGrad(), retain_graph=True):
                    f[:, c].sum().backward(retain_graph=True)
                columns.append({name: p.grad_batch for name, p in params.items()})  # [N, *p.shape]
            return {name: torch.stack([column[name] for column in columns], dim=1) for name in params}
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``.

        Raises:
            Unsupported: BackPACK has no rule for a layer with parameters, or its hooks can't be used.
        """
        params = trainable(model)
        names = {id(p): name for name, p in params.items()}
        J: dict[str, Tensor] = {}
        with borrowed(model), refusals(model), extended(model):
            x = leaf(x)
            f = model(x)  # [N, C]
            if not f.requires_grad:
                return {name: f.new_zeros(*f.shape, *p.shape) for name, p in params.items()}
            for p in params.values():
                vars(p).pop("grad_batch", None)  # the user's own; `borrowed` puts it back

            def collect(layer: nn.Module) -> None:
                """Move what the layer has got into J at once, so that no more than one is held twice."""
                visited.add(layer)
                for p in layer.parameters(recurse=False):
                    name = names.get(id(p))
                    column = None if name is None else vars(p).pop("grad_batch", None)  # [N, *p.shape]
                    if name is not None and column is not None:
                        if name not in J:
                            J[name] = column.new_empty(column.shape[0], f.shape[1], *column.shape[1:])
                        J[name][:, c].copy_(column)
                        done.add(name)

            extension = extensions.BatchGrad()
            visited: set[nn.Module] = set()
            for c in range(f.shape[1]):
                done: set[str] = set()
                column = f[:, c].sum()  # not f with a seed: torch's first call with a seed imports sympy, 0.5 s
                _, *gradients = backward(
                    column, (x, *params.values()), extension, retain_graph=True, after_layer=collect
                )
                for (name, p), gradient in zip(params.items(), gradients, strict=True):
                    if name not in done:
                        if gradient is not None:
                            layer = model.get_submodule(name.rpartition(".")[0])
                            raise no_rule(model, name, extension, layer in visited)
                        J.setdefault(name, f.new_empty(*f.shape, *p.shape))[:, c].zero_()  # f[:, c] is free of p
        return {name: J[name] for name in params}
