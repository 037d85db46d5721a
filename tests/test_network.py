"""A network is plain data: it survives JSON, builds what it says, and what can't be built is refused by its field."""

from __future__ import annotations

import gc
import json
import tracemalloc
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from jaccheck import InvalidProblem, Network, check
from jaccheck import _modules as modules
from jaccheck._activations import ACTIVATIONS, CORE
from jaccheck._containers import LAYERS, MAX_LAYERS, MAX_NESTING, Layer, Repeat, Residual, Sequential
from jaccheck._history import Hook
from jaccheck._json import FORMAT
from jaccheck._layers import Activation, Dropout, Flatten, Linear
from jaccheck._layouts import LAYOUTS
from jaccheck._network import MAX_NUMBERS
from jaccheck._values import FORMATS, Values
from jaccheck.strategies import EVERYTHING, activations, networks

ANY = networks(**EVERYTHING)
UNIFORM = Values("uniform", seed=7)


def bits(tensor: Tensor) -> Tensor:
    integer = {8: torch.int64, 4: torch.int32, 2: torch.int16}[tensor.element_size()]
    return tensor.detach().contiguous().view(integer)


@given(ANY)
def test_json_gives_the_same_network(network: Network) -> None:
    again = Network.from_json(network.to_json())
    assert again == network
    assert hash(again) == hash(network)
    assert Network.from_json(network.to_json().encode()) == network


@given(ANY)
def test_repr_gives_the_same_network(network: Network) -> None:
    names = {**LAYERS, "Hook": Hook, "Network": Network, "Values": Values}
    assert eval(repr(network), names) == network


@pytest.mark.parametrize("first", ["layers", "other"])
def test_dropout_needs_a_seed_in_a_part_that_is_not_active_too(first: str) -> None:
    second = {"layers": "other", "other": "layers"}[first]
    switch = {"kind": "Switch", first: [{"kind": "Dropout"}, {"kind": "Linear"}], second: [{"kind": "Linear"}]}
    network = Network.from_json(json.dumps({"format": 1, "layers": [switch]}))
    assert network.seed == 0
    assert check(*network.build(), seed=network.seed).ok
    assert replace(network, training=False).seed is None
    assert replace(network, training=False, other_mode=(1,)).seed == 0  # which it may take


@given(ANY)
def test_building_twice_gives_the_same_bits_and_leaves_the_generator_alone(network: Network) -> None:
    state = torch.random.get_rng_state()
    (model, x), (other, y) = network.build(), network.build()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(bits(x), bits(y))
    assert x.stride() == y.stride()
    assert str(model) == str(other)
    for (name, p), (same, q) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        assert (name, p.requires_grad, p.is_leaf) == (same, q.requires_grad, True)
        assert torch.equal(bits(p), bits(q))


@given(ANY)
def test_model_and_input_are_what_the_fields_say(network: Network) -> None:
    model, x = network.build()
    dtype = FORMATS[network.dtype].dtype
    assert (tuple(x.shape), x.dtype, str(x.device)) == ((network.batch, *network.inputs), dtype, network.device)
    assert x.requires_grad == (network.x_requires_grad or network.x_retains_grad)
    assert (x.is_leaf, x.retains_grad) == (not network.x_retains_grad, network.x_retains_grad)
    assert not x.is_inference()
    modules = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)] or [*model.modules()]
    others = {at % len(modules) for at in network.other_mode}
    assert [module.training == network.training for module in modules] == [i not in others for i in range(len(modules))]
    parameters = list(model.parameters())
    assert all((p.dtype, str(p.device)) == (dtype, network.device) for p in parameters)
    assert sum(p.numel() for p in parameters) == network.parameters
    with torch.no_grad():
        assert tuple(model(x).shape) == (network.batch, network.outputs)


@given(ANY)
def test_building_in_inference_mode_on_another_default_device_changes_nothing(network: Network) -> None:
    expected, x = network.build()
    with torch.inference_mode(), torch.device("meta"):
        model, y = network.build()
    assert not y.is_inference()
    assert torch.equal(bits(x), bits(y))
    assert all(
        torch.equal(bits(p), bits(q)) and not p.is_inference()
        for p, q in zip(model.parameters(), expected.parameters(), strict=True)
    )


def test_weights_are_the_values_and_frozen_ones_do_not_require_grad() -> None:
    linear = Linear(2, Values(numbers=(1, 2, 3, 4, 5, 6)), Values(numbers=(7,)), frozen=("bias",))
    model, _ = Network((linear, Linear(1, UNIFORM, None)), inputs=(3,), dtype="bfloat16").build()
    assert model[0].weight.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert model[0].bias.tolist() == [7, 7]
    assert (model[0].weight.requires_grad, model[0].bias.requires_grad) == (True, False)
    assert torch.equal(model[1].weight, UNIFORM.tensor((1, 2), "bfloat16", fan_in=2))
    assert model[1].bias is None


def test_ordinary_weights_keep_the_outputs_near_one() -> None:
    layers = tuple(
        layer for seed in range(8) for layer in (Linear(64, Values("uniform", seed=seed)), Activation("ReLU"))
    )
    model, x = Network(layers, batch=16, inputs=(64,), x=UNIFORM).build()
    assert 0.1 < model(x).square().mean().sqrt() < 10


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("inputs", [(3,), (2, 3)])
def test_layouts_change_strides_alone(layout: str, inputs: tuple[int, ...]) -> None:
    flat = Network((Flatten(), Linear()), batch=4, inputs=inputs, x=UNIFORM)
    (_, plain), (_, x) = flat.build(), Network(**{**vars(flat), "x_layout": layout}).build()
    assert torch.equal(x, plain[:1].expand(plain.shape) if layout == "expanded" else plain)
    assert x.is_contiguous() == (layout in ("contiguous", "offset"))
    assert (x.storage_offset() > 0) == (layout == "offset")


def test_containers_are_what_they_are_named_for() -> None:
    square = Linear(0, UNIFORM)
    inner = (square, Activation("Tanh"))
    network = Network(
        (
            Sequential(inner),
            Sequential(inner, own=True),
            Sequential(inner, own=True, last_first=True),
            Residual(inner),
            Repeat((square,), times=3),
            Repeat(inner, tied=True),
            Activation("LeakyReLU", (("negative_slope", 0.5),), functional=True),
            Dropout(0.25),
        ),
        batch=2,
        inputs=(3,),
        x=UNIFORM,
        training=False,
    )
    model, x = network.build()
    nested, chain, last_first, residual, reused, tied, functional, dropout = model
    kinds = [nn.Sequential, modules.Chain, modules.LastFirst, modules.Sum]
    assert [type(m) for m in (nested, chain, last_first, residual)] == kinds
    assert torch.equal(chain(x), nested(x))
    assert torch.equal(last_first(x), nested(x))
    assert [name for name, _ in last_first.named_children()] == ["layer1", "layer0"]
    assert torch.equal(residual(x), x + nested(x))
    assert reused[0] is reused[1] is reused[2]
    assert (tied[0] is not tied[1], tied[0][0].weight is tied[1][0].weight, tied[0][0].bias is tied[1][0].bias) == (
        True,
        True,
        True,
    )
    assert torch.equal(tied(x), nested(nested(x)))
    assert torch.equal(functional(x), nn.LeakyReLU(0.5)(x))
    assert dropout.p == 0.25
    assert network.parameters == sum(p.numel() for p in model.parameters()) == 6 * 12
    names = [name for name, _ in model.named_parameters()]
    assert names[:2] + names[2:4] == ["0.0.weight", "0.0.bias", "1.layer0.weight", "1.layer0.bias"]


@given(activation=activations(), x=st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=5))
def test_module_and_function_of_an_activation_are_the_same(activation: Activation, x: list[float]) -> None:
    argument = torch.tensor(x)
    (module, _), (function, _) = (
        Network((Activation(activation.name, activation.parameters, functional),)).build()
        for functional in (False, True)
    )
    assert isinstance(module[0], ACTIVATIONS[activation.name].module)
    assert torch.equal(module(argument), function(argument))


def test_the_table_of_activations_starts_with_torch_defaults() -> None:
    for name, kind in ACTIVATIONS.items():
        module = kind.module()
        for parameter, allowed in kind.parameters.items():
            assert getattr(module, parameter) == allowed.values[0], (name, parameter)
            assert all(map(allowed.allows, allowed.values)), (name, parameter)
    assert set(CORE) <= set(ACTIVATIONS)


def test_no_sample_works() -> None:
    model, x = Network((Linear(2, UNIFORM),), batch=0, inputs=(3,), x=Values(put=((5, "nan"),))).build()
    assert model(x).shape == (0, 2)


def network_json(**fields: object) -> str:
    return json.dumps({"format": FORMAT, **fields})


def linear_json(**fields: object) -> str:
    return network_json(layers=[{"kind": "ReLU"}, {"kind": "Linear", **fields}])


MALFORMED = [
    ("", "not valid JSON"),
    ("{", "not valid JSON"),
    (b"\xff\xfe\xfd", "not valid JSON"),
    ("[]", "JSON object"),
    ("{}", "^this is no network, since it has no format"),
    ('{"format": null}', "^format is None"),
    ('{"format": "1"}', "^format is '1'"),
    ('{"format": true}', "^format is True"),
    (json.dumps({"format": FORMAT + 1, "layers": "whatever comes then"}), f"^format is {FORMAT + 1}"),
    ('{"format": 1, "format": 1}', "'format' is there twice"),
    ('{"format": 1, "x": {"numbers": [NaN]}}', "has NaN"),
    ('{"format": 1, "batch": ' + "9" * 5000 + "}", "."),
    ("[" * 100_000, "."),
    (network_json(depth=3), "^depth is unknown"),
    (
        network_json(layers=[{"kind": "LeakyReLU", "slope": 1}]),
        r"^layers\[0\].slope is unknown; LeakyReLU has negative_",
    ),
    (network_json(layers=[{"kind": "Tanh", "a b": 1}]), r"^layers\[0\].'a b' is unknown; Tanh has no parameters"),
    (network_json(batch=-1), "^batch is -1"),
    (network_json(batch=1.0), "^batch is 1.0"),
    (network_json(batch=True), "^batch is True"),
    (network_json(batch=2**40), "^batch is"),
    (network_json(inputs=3), "^inputs is 3"),
    (network_json(inputs=[]), "^inputs is"),
    (network_json(inputs=[2, 0]), r"^inputs\[1\] is 0"),
    (network_json(inputs=[2, 3]), r"^inputs lead to outputs of the shape \[2, 3\]"),
    (network_json(dtype="float8"), "^dtype is 'float8'"),
    (network_json(dtype=None), "^dtype is None"),
    (network_json(device="tpu"), "^device is 'tpu'"),
    (network_json(device="cuda"), "^device is 'cuda'"),
    (network_json(x_layout="channels_last"), "^x_layout is"),
    (network_json(x_requires_grad=1), "^x_requires_grad is 1"),
    (network_json(training=None), "^training is None"),
    (network_json(other_mode=[0, -1]), r"^other_mode\[1\] is -1"),
    (network_json(other_mode=0), "^other_mode is 0"),
    (network_json(x=None), "^x is None"),
    (network_json(x={"kind": "normal"}), r"^x\.kind is 'normal'"),
    (network_json(x={"mean": 0}), r"^x\.mean is unknown"),
    (network_json(x={"numbers": ["NaN"]}), r"^x\.numbers\[0\] is 'NaN'"),
    (network_json(x={"put": [[0]]}), r"^x\.put\[0\] is"),
    (network_json(x={"put": [0]}), r"^x\.put\[0\] is 0"),
    (network_json(layers={}), "^layers is {}"),
    (network_json(layers=["ReLU"]), r"^layers\[0\] is 'ReLU'"),
    (network_json(layers=[{}]), r"^layers\[0\]\.kind is None"),
    (network_json(layers=[{"kind": "Conv2d"}]), r"^layers\[0\]\.kind is 'Conv2d'"),
    (network_json(layers=[{"kind": ["ReLU"]}]), r"^layers\[0\]\.kind is"),
    (network_json(layers=[{"kind": "ReLU", "slope": 1}]), r"^layers\[0\].slope is unknown; ReLU has no parameters"),
    (network_json(layers=[{"kind": "ELU", "alpha": "1"}]), r"^layers\[0\]\.alpha is '1'"),
    (network_json(layers=[{"kind": "ELU", "alpha": 10**400}]), r"^layers\[0\]\.alpha is"),
    (network_json(layers=[{"kind": "CELU", "alpha": 0}]), r"^layers\[0\]\.alpha is 0"),
    (network_json(layers=[{"kind": "GELU", "approximate": "exact"}]), r"^layers\[0\]\.approximate is 'exact'"),
    (network_json(layers=[{"kind": "ReLU", "functional": 0}]), r"^layers\[0\]\.functional is 0"),
    (network_json(layers=[{"kind": "Dropout", "p": 2}]), r"^layers\[0\]\.p is 2"),
    (linear_json(width=-1), r"^layers\[1\]\.width is -1"),
    (linear_json(width=2**21), r"^layers\[1\]\.width is 2097152"),
    (linear_json(weight=None), r"^layers\[1\]\.weight is None"),
    (linear_json(weight=[1]), r"^layers\[1\]\.weight is \[1\]"),
    (linear_json(weight={"seed": 1}), r"^layers\[1\]\.weight\.seed is 1"),
    (linear_json(bias={"rows": 0.5}), r"^layers\[1\]\.bias\.rows is 0.5"),
    (linear_json(bias=False), r"^layers\[1\]\.bias is False"),
    (linear_json(bias=None, frozen=["bias"]), r"^layers\[1\]\.frozen\[0\] is 'bias'"),
    (linear_json(frozen=["weight", "weight"]), r"^layers\[1\]\.frozen is"),
    (linear_json(frozen="weight"), r"^layers\[1\]\.frozen is 'weight'"),
    (network_json(layers=[{"kind": "Linear"}], inputs=[2, 3]), r"^layers\[0\] is a Linear after the shape \[2, 3\]"),
    (
        network_json(layers=[{"kind": "Sequential", "layers": [{"kind": "Linear"}]}], inputs=[2, 3]),
        r"^layers\[0\]\.layers\[0\] is a Linear after",
    ),
    (
        network_json(layers=[{"kind": "Residual", "layers": [{"kind": "Linear", "width": 3}]}]),
        r"^layers\[0\] is a layer that takes \[1\] to \[3\]",
    ),
    (network_json(layers=[{"kind": "Sequential", "last_first": 1}]), r"^layers\[0\]\.last_first is 1"),
    (network_json(layers=[{"kind": "Sequential", "last_first": True}]), r"^layers\[0\]\.last_first is for a module"),
    (network_json(layers=[{"kind": "Repeat", "times": 0}]), r"^layers\[0\]\.times is 0"),
    (network_json(layers=[{"kind": "ReLU"}] * (MAX_LAYERS + 1)), f"^layers are more than {MAX_LAYERS}"),
    (network_json(layers=[{"kind": "Linear", "width": 2**20}] * 2), "^layers and batch need"),
    (network_json(layers=[{"kind": "Linear", "width": 2**20}], batch=2**20), "^layers and batch need"),
]


@pytest.mark.parametrize(("text", "message"), MALFORMED)
def test_malformed_json_is_refused_by_its_field(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidProblem, match=message):
        Network.from_json(text)


@pytest.mark.parametrize("text", [None, 3, {}, ["{}"]])
def test_what_is_not_text_is_refused(text: Any) -> None:
    with pytest.raises(InvalidProblem, match="JSON text"):
        Network.from_json(text)


@pytest.mark.parametrize("container", [Sequential, Residual, Repeat])
def test_layers_nested_too_deep_are_refused(container: type[Sequential | Residual | Repeat]) -> None:
    layer: Layer = Activation("ReLU")
    for _ in range(MAX_NESTING):
        layer = container((layer,), times=1) if container is Repeat else container((layer,))
    assert Network.from_json(Network((layer,)).to_json()) == Network((layer,))
    with pytest.raises(InvalidProblem, match="nested more than"):
        Network((container((layer,)),))
    deeper = json.loads(Network((layer,)).to_json())
    deeper["layers"] = [{"kind": container.__name__, "layers": deeper["layers"]}]
    with pytest.raises(InvalidProblem, match="nested more than"):
        Network.from_json(json.dumps(deeper))


def test_repetition_counts_toward_the_limits() -> None:
    wide = Repeat((Linear(2**11), Linear(2**11)), times=400)
    with pytest.raises(InvalidProblem, match=r"^layers and batch need"):
        Network((wide,), inputs=(2**11,), batch=32)
    with pytest.raises(InvalidProblem, match=r"^layers are more than"):
        Network((Repeat((Repeat((Activation(),), times=100),), times=100),))


def test_what_is_too_large_is_refused_before_anything_is_allocated() -> None:
    tracemalloc.start()
    with pytest.raises(InvalidProblem, match=str(MAX_NUMBERS)):
        Network((Linear(2**20),), inputs=(2**20,))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_device_that_is_not_here_is_refused_when_built() -> None:
    network = Network.from_json(network_json(layers=[{"kind": "Linear"}], device="cuda:99"))
    with pytest.raises(InvalidProblem, match=r"^device is 'cuda:99'"):
        network.build()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(("nan", "weight", "ReLU", "Linear", "cpu", "", "\ud800"))
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container in `data` with every key into it."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    return [(data, key) for key in keys] + [place for key in keys for place in places(data[key])]


def read_or_refused(text: str) -> Network | str:
    """The network, or the words with which it is refused; no other exception is in order."""
    try:
        return Network.from_json(text)
    except InvalidProblem as error:
        return str(error)


@given(network=ANY, data=st.data())
def test_a_changed_json_is_a_network_or_refused(network: Network, data: st.DataObject) -> None:
    changed = json.loads(network.to_json())
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(changed)
        container, key = found[data.draw(st.integers(0, len(found) - 1))] if found else (changed, "x")
        how = data.draw(st.sampled_from(("replace", "delete", "rename", "copy")))
        if how == "replace":
            container[key] = data.draw(JSON)
        elif how == "copy":
            container[key] = json.loads(json.dumps(data.draw(st.sampled_from(found or [(changed, "format")]))[0]))
        else:
            value = container.pop(key)
            if how == "rename" and isinstance(container, dict):
                container[data.draw(st.sampled_from(("kind", "width", "x", "layers", "numbers", "y")))] = value
    read = read_or_refused(json.dumps(changed))
    assert read.isprintable() if isinstance(read, str) else Network.from_json(read.to_json()) == read


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_a_network_or_refused(text: str) -> None:
    read = read_or_refused(text)
    assert isinstance(read, Network) or read.isprintable()


def test_a_model_that_was_used_under_backpack_can_be_let_go() -> None:
    """BackPACK's hooks hold the layers from inside the graphs of their outputs, which the layers hold."""
    network = Network((Linear(2), Activation("ReLU"), Linear(2)), used_before="backpack")
    model, _ = network.build()
    assert any(isinstance(value, Tensor) for layer in model for value in vars(layer).values())
    layers = [weakref.ref(layer) for layer in model]
    del model
    gc.collect()
    assert [layer() for layer in layers] == [None] * 3
