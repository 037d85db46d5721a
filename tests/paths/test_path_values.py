"""Each path gives the Jacobian derived by hand, whatever the input's layout and the caller's mode."""

from __future__ import annotations

import pytest
import torch
from hand_derived import mlp, mlp_jacobian
from torch import Tensor, nn

from jaccheck._capabilities import differentiates, squared_error
from jaccheck._errors import Unsupported
from jaccheck.paths import Path, extra_roundings, get, paths, vmap_jacfwd

UNIT = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


def assert_is(J: dict[str, Tensor], expected: dict[str, Tensor], path: Path) -> None:
    """J is `expected`, but for the path's extra roundings k, each of which changes it by a factor up to 1 + u."""
    assert list(J) == list(expected)
    for name, j in J.items():
        assert j.shape == expected[name].shape, name
        assert j.dtype == expected[name].dtype, name
        assert not j.requires_grad, name
        k, u = extra_roundings(path), UNIT[j.dtype]
        gamma = 0.0 if path.name == "sqrt_ggn_exact_mean" else k * u / (1 - k * u)  # there the factor is 1/2
        error = (j.double() - expected[name].double()).abs()
        assert (error <= gamma * expected[name].double().abs()).all(), name


def test_the_jacobian_is_the_one_derived_by_hand(path: Path, dtype: torch.dtype) -> None:
    if path.name.startswith("sqrt_ggn_exact") and not differentiates(squared_error, dtype, "cpu"):
        pytest.skip(f"this torch has no squared error in {dtype}")
    model, x = mlp(dtype)
    assert_is(path.jacobian(model, x), mlp_jacobian(dtype), path)


def test_a_second_call_gives_the_same(path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(5, 3)
    first, second = path.jacobian(model, x), path.jacobian(model, x)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_grad_mode_makes_no_difference(path: Path, mode: type) -> None:
    model, x = mlp()
    with mode():
        J = path.jacobian(model, x)
        assert not any(j.is_inference() for j in J.values())
    assert_is(J, mlp_jacobian(), path)


@pytest.mark.parametrize("inside", [False, True])
def test_an_input_made_under_inference_mode_works(path: Path, inside: bool) -> None:
    model, _ = mlp()
    with torch.inference_mode():
        x = mlp()[1] * 1
    with torch.inference_mode(inside):
        assert_is(path.jacobian(model, x), mlp_jacobian(), path)


def test_an_input_that_requires_grad_works_and_gets_none(path: Path) -> None:
    model, x = mlp()
    x.requires_grad_()
    assert_is(path.jacobian(model, x), mlp_jacobian(), path)
    assert x.grad is None
    assert_is(path.jacobian(model, x * 1), mlp_jacobian(), path)  # not a leaf


@pytest.mark.parametrize("layout", ["transposed", "strided", "offset"])
def test_the_inputs_layout_makes_no_difference(path: Path, layout: str) -> None:
    model, x = mlp()
    N, I = x.shape
    if layout == "transposed":
        x = x.t().contiguous().t()
    elif layout == "strided":
        x = torch.stack((x, torch.full_like(x, torch.nan)), dim=2).view(N, 2 * I)[:, ::2]
    else:
        x = torch.cat((torch.full((1, I), torch.nan, dtype=x.dtype), x))[1:]
    assert_is(path.jacobian(model, x), mlp_jacobian(), path)


def test_an_expanded_input_gives_equal_rows(path: Path) -> None:
    model, x = mlp()
    J = path.jacobian(model, x[:1].expand(4, -1))
    assert_is(J, {name: j[:1].expand_as(j) for name, j in mlp_jacobian().items()}, path)


def test_no_samples_give_empty_jacobians(path: Path) -> None:
    model, x = mlp()
    if path.name == "sqrt_ggn_exact_mean":
        with pytest.raises(Unsupported, match="a mean over no samples"):
            path.jacobian(model, x[:0])
        return
    assert_is(path.jacobian(model, x[:0]), {name: j[:0] for name, j in mlp_jacobian().items()}, path)


def test_frozen_parameters_have_no_jacobian(path: Path) -> None:
    model, x = mlp()
    expected = mlp_jacobian()
    for frozen in (("0.weight",), ("0.weight", "0.bias"), ("2.weight", "2.bias")):
        model, x = mlp()
        for name in frozen:
            model.get_parameter(name).requires_grad_(False)
        J = path.jacobian(model, x)
        assert_is(J, {name: j for name, j in expected.items() if name not in frozen}, path)


class Detour(nn.Sequential):
    """Goes through its first layer alone."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self[0](x)
        return y


class Cut(nn.Sequential):
    """Lets no gradient through to its first layer."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self[1](self[0](x).detach())
        return y


def test_a_parameter_that_f_is_free_of_has_a_jacobian_of_zeros(path: Path) -> None:
    first, last = nn.Linear(3, 2).double(), nn.Linear(2, 2).double()
    x = torch.ones(4, 3, dtype=torch.float64)
    for model, name in ((Detour(first, last), "1.weight"), (Cut(first, last), "0.weight")):
        J = path.jacobian(model, x)
        assert J[name].shape == (4, 2, *model.get_parameter(name).shape)
        assert not J[name].any()
        assert any(j.any() for j in J.values())


class Constant(nn.Sequential):
    """Its output is no function of anything, as far as autograd can tell."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x).detach()
        return y


def test_a_detached_output_has_a_jacobian_of_zeros(path: Path) -> None:
    model, x = Constant(nn.Linear(3, 2)), torch.ones(4, 3)
    J = path.jacobian(model, x)
    assert J["0.weight"].shape == (4, 2, 2, 3)
    assert not any(j.any() for j in J.values())


class Apart(nn.Module):
    """Each output has a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.left(x), self.right(x)), dim=1)


@pytest.mark.parametrize("name", ["autograd", "batch_grad", "autograd_batched", "vmap_jacrev", "vmap_jacfwd"])
def test_an_output_that_is_free_of_a_parameter_has_zeros(name: str) -> None:
    J = get(name).jacobian(Apart(), torch.ones(2, 3))
    expected = torch.tensor([[[[1.0] * 3], [[0.0] * 3]]] * 2)
    assert torch.equal(J["left.weight"], expected)
    assert torch.equal(J["right.weight"], expected.flip(1))


def test_a_parameter_may_be_a_scalar_or_empty() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.none = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.zeros(0, 3))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale + self.none.sum()

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    for name in paths():
        if name in ("batch_grad", "sqrt_ggn_exact"):
            continue  # a module with parameters of its own
        J = get(name).jacobian(Odd(), x)
        assert torch.equal(J["scale"], x), name
        assert J["none"].shape == (2, 2, 0, 3), name


def test_a_layer_used_twice_and_tied_parameters_sum() -> None:
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tied = nn.Linear(2, 2, bias=False)
    tied.weight = layer.weight
    x = torch.tensor([[1.0, 10.0]])
    # f = W W x: df_c/dW_oi = δ_co (W x)_i + W_co x_i, with W x = [21, 43]
    expected = torch.tensor([[[[22.0, 53.0], [2.0, 20.0]], [[3.0, 30.0], [25.0, 83.0]]]])
    for model in (nn.Sequential(layer, layer), nn.Sequential(layer, tied)):
        for name in ("autograd", "autograd_batched", "vmap_jacrev", "vmap_jacfwd"):
            J = get(name).jacobian(model, x)
            assert list(J) == ["0.weight"], name
            assert torch.equal(J["0.weight"], expected), name


def test_pieces_make_the_same_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = mlp()
    monkeypatch.setattr(vmap_jacfwd, "NUMBERS", 5 * 4 * 14)  # 5 tangents at a time, of P = 14
    assert_is(get("vmap_jacfwd").jacobian(model, x), mlp_jacobian(), get("vmap_jacfwd"))

    wide = nn.Linear(1, 2)
    x = torch.arange(300.0).unsqueeze(1)  # 600 entries, in steps of 256
    J = get("autograd_batched").jacobian(wide, x)
    assert torch.equal(J["weight"], torch.eye(2).unsqueeze(2) * x.view(300, 1, 1, 1))


def test_pieces_go_with_a_gradient_that_the_model_retains() -> None:
    class Retaining(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            z = self.layer(x)
            z.retain_grad()
            return z * z

    model, x = Retaining(), torch.arange(300.0).unsqueeze(1)
    nn.init.ones_(model.layer.weight)
    nn.init.zeros_(model.layer.bias)
    J = get("autograd_batched").jacobian(model, x)  # of x²
    assert torch.equal(J["layer.weight"], 2 * torch.eye(2).unsqueeze(2) * x.view(300, 1, 1, 1) ** 2)


class Added(nn.Module):
    """``x (a + b)``: torch gives one tensor for both."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.a + self.b)


@pytest.mark.parametrize("name", ["autograd", "autograd_batched", "vmap_jacrev", "vmap_jacfwd"])
def test_no_two_jacobians_lie_in_one_place(name: str) -> None:
    J = get(name).jacobian(Added(), torch.ones(3, 2))
    assert len({j.data_ptr() for j in J.values()}) == 2
