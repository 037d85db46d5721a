"""What can't be judged is refused with what is wrong and what to do, and nothing changes."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jaccheck._errors import InvalidProblem
from jaccheck._problem import admit
from jaccheck._state import Snapshot


class Calls(nn.Module):
    """A model with parameters that returns what it is told to."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(3, 2), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.layer(x))


def raises(_: Tensor) -> Tensor:
    raise KeyError("a reason of its own")


def linear(dtype: torch.dtype = torch.float32, **kwargs: Any) -> nn.Module:
    return nn.Linear(3, 2, dtype=dtype, **kwargs)


def mixed(**layer: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2, **layer))


def made_in_inference_mode() -> nn.Module:
    with torch.inference_mode():
        return nn.Linear(3, 2)


def with_parameter(tensor: Tensor) -> nn.Module:
    model = nn.Linear(3, 2)
    model.register_parameter("odd", nn.Parameter(tensor, requires_grad=False))
    return model


def nested() -> Tensor:
    return torch.nested.nested_tensor([X[0], X[1]])


def quantized() -> Tensor:
    return torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)


X = torch.ones(4, 3)
BAD: dict[str, tuple[Any, Any, str]] = {
    "function": (torch.relu, X, "the model is a builtin_function_or_method, but should be a torch.nn.Module"),
    "class": (nn.ReLU, X, "the model is the class ReLU; pass an instance, ReLU(…)"),
    "x is a list": (linear(), [[1.0, 2.0, 3.0]], "the input is a list, but should be a torch.Tensor"),
    "x is None": (linear(), None, "the input is a NoneType, but should be a torch.Tensor"),
    "no parameters": (nn.ReLU(), X, "the model has no parameters"),
    "all frozen": (linear().requires_grad_(False), X, "requires grad; call model.requires_grad_() first"),
    "integers": (linear(), X.long(), "x is int64, but should be one of float64, float32, float16, bfloat16"),
    "booleans": (linear(), X.bool(), "x is bool, but should be"),
    "complex x": (linear(), X.cfloat(), "x is complex64, but should be"),
    "complex": (linear(torch.complex64), X.cfloat(), "is complex64, but should be"),
    "float8": (with_parameter(torch.ones(2).to(torch.float8_e5m2)), X, "parameter 'odd' is float8_e5m2, but should"),
    "integer parameter": (with_parameter(torch.ones(2, dtype=torch.int32)), X, "parameter 'odd' is int32, but should"),
    "sparse x": (linear(), X.to_sparse(), "x is a sparse tensor; call to_dense() on it"),
    "nested x": (linear(), nested, "x is a nested tensor; take torch.nested.to_padded_tensor"),
    "quantized x": (linear(), quantized, "x is quantized; call dequantize()"),
    "meta x": (linear(), X.to("meta"), "x is on the meta device"),
    "meta model": (linear(device="meta"), X, "parameter 'weight' is on the meta device"),
    "dtypes": (linear(torch.float64), X, "x has dtype float32, the parameters float64; use x.to(torch.float64)"),
    "dtypes of layers": (
        mixed(dtype=torch.float64),
        X,
        "parameter '1.weight' has dtype float64, '0.weight' float32; use one dtype, as by model.to(torch.float32)",
    ),
    "lazy": (nn.LazyLinear(2), X, "parameter 'weight' has no shape yet; call the model once on a batch"),
    "inference mode": (made_in_inference_mode(), X, "'weight' has been made under torch.inference_mode()"),
    "scalar": (linear(), torch.tensor(1.0), "x is a scalar, but should be a batch, [N, *features]"),
    "no batch dimension": (linear(), X[0], "x has shape [3], and no batch dimension; use x.unsqueeze(0)"),
    "more than there is memory for": (linear(), X[:1].expand(10**13, 3), "there is no memory for a copy of the model"),
    "one number a sample": (
        Calls(lambda y: y[:, 0]),
        X,
        "f(x) has shape [4], but should be [N, C]; append torch.nn.Unflatten(0, (-1, 1))",
    ),
    "three dimensions": (
        Calls(lambda y: y.view(4, 2, 1)),
        X,
        "f(x) has shape [4, 2, 1], but should be [N, C]; append torch.nn.Flatten() to the model",
    ),
    "a scalar output": (Calls(torch.sum), X, "f(x) has shape [], but should be [N, C]"),
    "rows": (Calls(lambda y: y[1:]), X, "f(x) has shape [3, 2] and x [4, 3]: 3 rows for 4 samples"),
    "no outputs": (Calls(lambda y: y[:, :0]), X, "f(x) has shape [4, 0], and no outputs"),
    "tuple": (Calls(lambda y: (y, y)), X, "f(x) is a tuple, but should be one tensor, [N, C]"),
    "dict": (Calls(lambda y: {"logits": y}), X, "f(x) is a dict, but should be one tensor"),
    "None": (Calls(lambda y: None), X, "f(x) is a NoneType, but should be one tensor"),
    "number": (Calls(lambda y: torch.nan), X, "f(x) is a float, but should be one tensor"),
    "sparse output": (Calls(torch.Tensor.to_sparse), X, "f(x) is a sparse tensor, but should be dense"),
    "cast": (Calls(torch.Tensor.double), X, "f(x) is float64 on cpu, but x and the parameters are float32 on cpu"),
    "raises": (Calls(raises), X, "raises KeyError in the model (Calls): 'a reason of its own'"),
    "width": (
        linear(),
        torch.ones(4, 5),
        "raises RuntimeError in the model (Linear): mat1 and mat2 shapes cannot be multiplied",
    ),
    "BatchNorm": (
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)),
        X,
        "the model is in training mode, and f(x) is no function of x alone in '1' (BatchNorm1d); call model.eval()",
    ),
    "Dropout": (nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), X, "'1' (Dropout); call model.eval() first"),
    "AlphaDropout": (nn.Sequential(nn.Linear(3, 2), nn.AlphaDropout(0.5)), X, "'1' (AlphaDropout)"),
    "RReLU": (nn.Sequential(nn.Linear(3, 2), nn.RReLU()), X, "'1' (RReLU)"),
    "InstanceNorm": (
        nn.Sequential(nn.InstanceNorm1d(3, track_running_stats=True), nn.Flatten(), nn.Linear(3, 2)),
        X.unsqueeze(2),
        "'0' (InstanceNorm1d)",
    ),
    "many": (
        nn.Sequential(nn.Linear(3, 2), *(nn.Dropout() for _ in range(6))),
        X,
        "'1' (Dropout), '2' (Dropout), '3' (Dropout), '4' (Dropout) and 2 more",
    ),
    "in place": (
        nn.Sequential(nn.LeakyReLU(2.0, inplace=True), nn.Linear(3, 2)),
        -X,
        "changes its input in place; use inplace=False",
    ),
}


UNKEPT = ("lazy", "more than there is memory for")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words_and_nothing_changes(name: str) -> None:
    model, x, words = BAD[name]
    x = x() if callable(x) else x
    watched = isinstance(model, nn.Module) and isinstance(x, Tensor) and not x.is_nested and name not in UNKEPT
    before = Snapshot.take(model, x) if watched else None
    with pytest.raises(InvalidProblem) as refusal:
        admit(model, x)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert before is None or before.changes() == []


def test_an_exception_of_the_models_own_is_the_cause() -> None:
    with pytest.raises(InvalidProblem) as refusal:
        admit(Calls(raises), X)
    assert isinstance(refusal.value.__cause__, KeyError)


def test_a_forward_pass_that_would_end_the_program_is_refused_but_ctrl_c_ends_it() -> None:
    def ends(y: Tensor) -> Tensor:
        sys.exit(5)

    def interrupts(y: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(InvalidProblem, match=r"the model's forward pass raises SystemExit in the model \(Calls\): 5"):
        admit(Calls(ends), X)
    with pytest.raises(KeyboardInterrupt):
        admit(Calls(interrupts), X)


def test_an_exception_names_the_layer_that_raised_it() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    with pytest.raises(InvalidProblem, match=r"raises RuntimeError in '1\.1' \(Linear\): mat1 and mat2"):
        admit(model, X)


def test_a_layer_that_normalizes_by_the_batch_is_refused_in_any_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)).eval()
    with pytest.raises(
        InvalidProblem, match=r"'1' \(BatchNorm1d\) mixes the samples, .* make it with track_running_stats=True"
    ):
        admit(model, X)


def test_a_problem_says_what_it_is() -> None:
    model, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 5)).double(), X.double()
    model[0].bias.requires_grad_(False)
    model[2].weight.requires_grad_(False)
    problem = admit(model, x)
    assert (problem.N, problem.C, problem.dtype, problem.device) == (4, 5, torch.float64, torch.device("cpu"))
    assert problem.model is model
    assert problem.x is x
    assert list(problem.parameters) == ["0.weight", "2.bias"]
    assert problem.parameters["0.weight"] is model[0].weight
    assert torch.equal(problem.output, model(x))
    assert not problem.output.requires_grad
    with pytest.raises(AttributeError):
        problem.x = X  # type: ignore[misc]


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_grad_mode_makes_no_difference(outside: type) -> None:
    model = linear()
    with outside():
        problem = admit(model, X)
    assert not problem.output.requires_grad
    assert not problem.output.is_inference()


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout()).eval(),
        nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.0)),
        nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Flatten(), nn.Linear(3, 2)),
    ],
)
def test_good_input_is_admitted_and_nothing_changes(model: nn.Module) -> None:
    before = Snapshot.take(model, X)
    admit(model, X)
    assert before.changes() == []


def test_one_forward_pass_leaves_no_trace() -> None:
    calls: list[object] = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(3, 2), 0
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.count += 1
            torch.rand(1)
            calls.append(None)
            y: Tensor = self.layer(x)
            return y

    model = Counting()
    before = Snapshot.take(model, X)
    admit(model, X)
    assert len(calls) == 2  # once more, to see whether what it draws matters
    assert before.changes() == []


def test_a_model_whose_output_depends_on_chance_is_refused() -> None:
    drawing, others = Calls(lambda y: y * torch.rand(2)), Calls(lambda y: y * random.random())
    with pytest.raises(InvalidProblem, match=r"random numbers .* pass a seed"):
        admit(drawing, X)
    assert admit(drawing, X, seed=0).seed == 0
    with pytest.raises(InvalidProblem, match="random numbers"):
        admit(others, X)
    with pytest.raises(InvalidProblem, match="the seed is for torch's alone"):
        admit(others, X, seed=0)


def test_what_raises_only_where_the_dice_fall_so_is_refused_as_a_forward_pass_that_raises() -> None:
    calls: list[int] = []

    def falls(y: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("no luck")
        return y + 0 * torch.rand(2)

    with pytest.raises(InvalidProblem, match=r"forward pass raises ValueError in the model \(Calls\): no luck"):
        admit(Calls(falls), X)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_number_that_is_not_finite_now_and_then_is_no_other(number: float) -> None:
    other = {torch.nan: 0.0, torch.inf: torch.finfo().max}[number]
    draws = iter([number, other])

    def struck(y: Tensor) -> Tensor:
        torch.rand(1)
        return torch.full_like(y, next(draws))

    with pytest.raises(InvalidProblem, match="depends on random numbers"):
        admit(Calls(struck), X)
    assert admit(Calls(lambda y: y + number * torch.rand(2)), X).C == 2


def test_a_drawing_model_whose_output_is_no_matrix_is_refused_for_that() -> None:
    with pytest.raises(InvalidProblem, match="sparse"):
        admit(Calls(lambda y: (y * torch.rand(2)).to_sparse()), X)


def test_no_samples_are_a_problem_too() -> None:
    assert admit(linear(), X[:0]).N == 0
