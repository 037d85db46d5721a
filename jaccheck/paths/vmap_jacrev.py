"""Reverse mode by composable transforms: the per-sample Jacobian, vectorized over the batch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import jacrev, vmap

from jaccheck.paths._functional import of_one_sample, refusals
from jaccheck.paths._path import apart, borrowed, leaf, trainable


class VmapJacrev:
    """``vmap(jacrev(f), in_dims=(None, 0))(parameters, x)``."""

    name = "vmap_jacrev"
    snippet = """
        from torch.func import functional_call, jacrev, vmap


        def jacobian(model, x):
            params = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

            def f(params, sample):
                return functional_call(model, params, (sample[None],))[0]

            return vmap(jacrev(f), in_dims=(None, 0))(params, x)
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``."""
        with borrowed(model), refusals(model):
            params = {name: p.detach() for name, p in trainable(model).items()}
            J: dict[str, Tensor] = vmap(jacrev(of_one_sample(model)), in_dims=(None, 0))(params, leaf(x).detach())
        return apart(J)
