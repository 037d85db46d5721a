"""Forward mode by composable transforms: the per-sample Jacobian, vectorized over the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import jacfwd, vmap

from jaccheck.paths._functional import of_one_sample, refusals
from jaccheck.paths._path import borrowed, leaf, trainable

NUMBERS = 2**22
"""About how many numbers one piece may take: each of its tangents moves all P parameters for all N samples."""


class VmapJacfwd:
    """``vmap(jacfwd(f), in_dims=(None, 0))(parameters, x)``, the parameters being one vector, taken in pieces.

    In one piece, the tangents alone would have P² numbers for P parameters.
    """

    name = "vmap_jacfwd"
    mode = "forward"
    snippet = """
        from torch.func import functional_call, jacfwd, vmap


        def jacobian(model, x):
            params = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

            def f(params, sample):
                return functional_call(model, params, (sample[None],))[0]

            return vmap(jacfwd(f), in_dims=(None, 0))(params, x)
    """

    def jacobian(self, model: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """The Jacobian of each parameter that requires grad, ``[N, C, *p.shape]``, a view of one ``[N, C, P]``.

        Raises:
            Unsupported: torch.func can't transform the model, or has no forward mode for an operation.
        """
        params = {name: p.detach() for name, p in trainable(model).items()}
        sizes = [p.numel() for p in params.values()]
        f = of_one_sample(model)

        def of_piece(piece: Tensor, before: Tensor, after: Tensor, sample: Tensor) -> Tensor:
            parts = torch.cat((before, piece, after)).split_with_sizes(sizes)
            return f({name: part.view(params[name].shape) for name, part in zip(params, parts, strict=True)}, sample)

        jacobian = vmap(jacfwd(of_piece), in_dims=(None, None, None, 0))
        with borrowed(model), refusals(model):
            x = leaf(x).detach()
            theta = torch.cat([p.flatten() for p in params.values()])  # [P]
            step = max(1, NUMBERS // max(1, len(x) * len(theta)))
            J: Tensor = jacobian(theta[:step], theta[:0], theta[step:], x)  # [N, C, step]
            if step < len(theta):
                first, J = J, J.new_empty(*J.shape[:2], len(theta))
                J[:, :, :step] = first
                for start in range(step, len(theta), step):
                    end = start + step
                    J[:, :, start:end] = jacobian(theta[start:end], theta[:start], theta[end:], x)
        parts = J.split_with_sizes(sizes, dim=2)
        return {
            name: part.view(*part.shape[:2], *p.shape) for (name, p), part in zip(params.items(), parts, strict=True)
        }
