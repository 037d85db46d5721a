"""What a path can't do it refuses by the layer's name; what BackPACK or torch do wrong, it doesn't hide."""

from __future__ import annotations

import pytest
import torch
from hand_derived import Functional, Raising, Scaled, Twice
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint

from jaccheck._errors import Unsupported
from jaccheck.paths import get
from jaccheck.paths._functional import refusals

SHARED, RELU = nn.Linear(3, 3), nn.ReLU()


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Loose(nn.Linear):
    """Uses its child's weight behind the child's back."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.child = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.child.weight)


class Sliced(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self[1](self[0](x)[:, :2])
        return y


class Item(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x)
        return y if y.sum().item() > 0 else 2 * y


def legacy() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].register_backward_hook(lambda *_: None)
    return model


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].register_full_backward_hook(lambda *_: None)
    return model


class SampleBySample(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([super(SampleBySample, self).forward(sample) for sample in x])


class OfFourSamples(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.new_ones(4, 1)


class Squeezed(nn.Linear):
    """Of one output, for which it has no axis where there is one sample."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x).squeeze()
        return y.unsqueeze(1) if y.dim() else y


class Located(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.data_ptr() else x


class Checkpointed(nn.Sequential):
    def __init__(self, *, reentrant: bool) -> None:
        super().__init__(nn.Linear(3, 3), nn.Linear(3, 2))
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self[1](checkpoint(self[0], x, use_reentrant=self.reentrant))
        return y


class LastOfGRU(nn.GRU):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        y: Tensor = super().forward(x[..., None])[0][:, -1]
        return y


REFUSED = [
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 3), nn.GELU()), "'1' (GELU)", "does not have an extension for"),
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.SiLU())), "'1.0' (SiLU)", "extension for"),
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 3), Twice()), "'1' (Twice)", "does not have an extension for"),
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 2), Scaled()), "'1' (Scaled)", "does not have an extension for"),
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 3), Residual()), "'1.body' (Linear)", "but it is None"),
    ("sqrt_ggn_exact", Residual(), "'body' (Linear)", "expects a backpropagation quantity but it is None"),
    ("sqrt_ggn_exact", Functional(), "'first' (Linear)", "expects a backpropagation quantity but it is None"),
    ("sqrt_ggn_exact", nn.Sequential(SHARED, nn.Tanh(), SHARED), "'0' (Linear)", "used more than once"),
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 3), RELU, nn.Linear(3, 3), RELU), "'1' (ReLU)", "more than once"),
    ("sqrt_ggn_exact", Sliced(nn.Linear(3, 3), nn.Linear(2, 2)), "'0' (Linear)", "do not match"),
    ("sqrt_ggn_exact", legacy(), "'0' (Linear)", "Cannot use both regular backward hooks and full backward hooks"),
    ("sqrt_ggn_exact", nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), "'1' (ReLU)", "modified inplace"),
    ("batch_grad", nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), "'1' (ReLU)", "modified inplace"),
    ("batch_grad", legacy(), "'0' (Linear)", "Cannot use both regular backward hooks and full backward hooks"),
    ("batch_grad", nn.Sequential(nn.Linear(3, 2), Scaled()), "'1' (Scaled)", "does not have an extension for"),
    ("batch_grad", nn.Sequential(nn.Linear(3, 2), nn.PReLU()), "'1' (PReLU)", "does not have an extension for"),
    ("batch_grad", nn.Sequential(weight_norm(nn.Linear(3, 2))), "'0' (ParametrizedLinear)", "extension for"),
    ("batch_grad", SampleBySample(nn.Linear(3, 2)), "'0' (Linear)", "is given a vector"),
    ("batch_grad", Loose(), "'child' (Linear)", "used outside of its layer"),
    ("vmap_jacrev", hooked(), "'0' (Linear)", "functorch"),
    ("vmap_jacrev", OfFourSamples(3, 2), "the model (OfFourSamples)", "makes [4, 2] of one sample"),
    ("vmap_jacfwd", OfFourSamples(3, 2), "the model (OfFourSamples)", "makes [4, 2] of one sample"),
    ("vmap_jacrev", Squeezed(3, 1), "the model (Squeezed)", "makes [] of one sample"),
    ("vmap_jacrev", Located(3, 2), "the model (Located)", "data pointer"),
    ("vmap_jacrev", Item(nn.Linear(3, 2)), "the model (Item)", "vmap"),
    ("vmap_jacfwd", Item(nn.Linear(3, 2)), "the model (Item)", "vmap"),
    ("vmap_jacrev", Checkpointed(reentrant=False), "the model (Checkpointed)", "support"),
    ("batch_grad", Checkpointed(reentrant=True), "the model (Checkpointed)", "compatible with .grad()"),
    ("sqrt_ggn_exact", Checkpointed(reentrant=True), "the model (Checkpointed)", "compatible with .grad()"),
    ("vmap_jacrev", nn.DataParallel(nn.Linear(3, 2)), "the model (DataParallel)", "with nn.DataParallel module"),
    ("vmap_jacfwd", nn.DataParallel(nn.Linear(3, 2)), "the model (DataParallel)", "with nn.DataParallel module"),
    ("vmap_jacfwd", nn.Sequential(weight_norm(nn.Linear(3, 2))), "(_WeightNorm)", "forward AD"),
    ("vmap_jacrev", nn.GRUCell(3, 2), "the model (GRUCell)", "doesn't match the broadcast shape"),
    ("vmap_jacfwd", nn.Sequential(nn.GRUCell(3, 2)), "'0' (GRUCell)", "doesn't match the broadcast shape"),
    ("vmap_jacrev", LastOfGRU(1, 2, batch_first=True), "the model (LastOfGRU)", "doesn't match the broadcast shape"),
]


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize(("name", "model", "layer", "reason"), REFUSED)
def test_a_refusal_names_the_layer_and_the_reason(name: str, model: nn.Module, layer: str, reason: str) -> None:
    x = torch.randn(4, 3)
    assert get("autograd").jacobian(model, x)  # the model is fine
    with pytest.raises(Unsupported) as refusal:
        get(name).jacobian(model, x)
    message = str(refusal.value)
    assert layer in message
    assert reason in message
    assert "0x" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("where", "name"),
    [("forward", name) for name in ("autograd", "batch_grad", "sqrt_ggn_exact", "vmap_jacrev", "vmap_jacfwd")]
    + [("backward", name) for name in ("autograd", "batch_grad", "autograd_batched")],
)
def test_an_exception_of_the_models_own_is_no_refusal(where: str, name: str) -> None:
    model = nn.Sequential(nn.Linear(3, 3), Raising(), nn.Linear(3, 2))
    model[1].armed = where
    with pytest.raises(LookupError, match=f"in the {where} pass"):
        get(name).jacobian(model, torch.randn(4, 3))


def test_a_kernel_that_only_forward_mode_lacks_is_a_refusal() -> None:
    """That of GLU in bfloat16, in torch 2.13."""
    with pytest.raises(Unsupported, match="glu_jvp_cpu"), refusals(nn.GLU()):
        raise NotImplementedError("\"glu_jvp_cpu\" not implemented for 'BFloat16'")


def test_a_container_of_its_own_is_fine_for_batch_grad() -> None:
    torch.manual_seed(0)
    model, x = Functional(), torch.randn(4, 3)
    expected, J = get("autograd").jacobian(model, x), get("batch_grad").jacobian(model, x)
    assert all(torch.equal(J[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (nn.Sequential(nn.Conv1d(1, 2, 3, padding="same"), nn.Flatten()), TypeError),
        (nn.Sequential(nn.ConvTranspose1d(1, 1, 3, stride=2, output_padding=1), nn.Flatten()), RuntimeError),
    ],
)
def test_a_crash_of_backpacks_is_no_refusal(model: nn.Module, error: type[Exception]) -> None:
    x = torch.randn(4, 1, 3)
    assert get("autograd").jacobian(model, x)
    with pytest.raises(error):
        get("sqrt_ggn_exact").jacobian(model, x)


# What follows is wrong, and a finding: BackPACK says nothing, so the paths pass it on.


def test_batch_grad_passes_on_what_backpack_gives_for_a_layer_used_twice() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(3)
    x = torch.ones(1, 1)
    model = nn.Sequential(layer, layer)  # 9 x
    assert get("autograd").jacobian(model, x)["0.weight"].item() == 6
    # It keeps the first use's gradient, 3, times the last use's input, 3.
    assert get("batch_grad").jacobian(model, x)["0.weight"].item() == 9


@pytest.mark.parametrize("name", ["batch_grad", "sqrt_ggn_exact"])
def test_backpack_paths_pass_on_what_it_gives_for_tied_parameters(name: str) -> None:
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    last.weight = first.weight
    with torch.no_grad():
        first.weight.fill_(3)
    model, x = nn.Sequential(first, last), torch.full((1, 1), 5.0)  # 9 x, derivative 2·3 x
    assert get("autograd").jacobian(model, x)["0.weight"].item() == 30
    assert get(name).jacobian(model, x)["0.weight"].item() == pytest.approx(15)  # the first layer's share


class Turned(nn.Sequential):
    """What goes into the second layer lies in the memory of what comes from the first, and has the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self[2](self[1](self[0](x).transpose(1, 2)))
        return y


def test_sqrt_ggn_exact_passes_on_what_backpack_gives_through_a_transpose() -> None:
    torch.manual_seed(0)
    model, x = Turned(nn.Linear(2, 2), nn.Linear(2, 2), nn.Flatten()), torch.randn(3, 2, 2)
    expected, J = get("autograd").jacobian(model, x), get("sqrt_ggn_exact").jacobian(model, x)
    assert (J["0.weight"] - expected["0.weight"]).abs().max() > 0.1
