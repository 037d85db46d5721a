"""The register of known defects explains each of them, and nothing beside it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

import jaccheck
from jaccheck._capabilities import differentiates, squared_error
from jaccheck._errors import InvalidProblem
from jaccheck._finding import FORWARD, Failure, examined, failures
from jaccheck._layers import Activation, Linear
from jaccheck._network import Network
from jaccheck._problem import admit
from jaccheck._state import Snapshot
from jaccheck._values import Values
from jaccheck.defects.conditions import EMULATIONS, MASKS, RAISING
from jaccheck.defects.conditions import FORWARDS as OF_FORWARDS
from jaccheck.defects.conditions.emulation import INPUTS, SLOPES
from jaccheck.defects.known import known, looked_up
from jaccheck.defects.register import in_range, register
from jaccheck.defects.scene import Scene
from jaccheck.judging.case import Case
from jaccheck.paths import _BUILT_IN, _PEERS, _loaded, get, mode, register_path, unregister_path
from jaccheck.properties import PROPERTIES
from jaccheck.selftest.faults import bank
from tests.defects.showing import hidden, network_of
from tests.planted import doubled, planted
from tests.thorough import THOROUGH


def cases():
    """Each defect of the installed versions on each of its paths."""
    for defect in (defect for defect in register() if defect.here()):
        for path in defect.paths:
            reason = hidden(defect, path)
            mark = pytest.mark.skipif(reason is not None, reason=str(reason))
            yield pytest.param(defect, path, marks=mark, id=f"{defect.id}-{path}")


CASES = list(cases())
FORWARDS = [case for case in CASES if case.values[1] == FORWARD]
VALUES = [case for case in CASES if case.values[0].kind == "value" and case not in FORWARDS]
RAISED = [case for case in CASES if case.values[0].kind == "raised"]


def report_of(defect, path):
    network, paths = network_of(defect), ("autograd",) if path == FORWARD else (path,)
    return jaccheck.check(*network.build(), paths=paths, properties=("enclosure",), seed=network.seed)


@pytest.mark.parametrize(("defect", "path"), CASES)
@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="a known defect; once it is mended, it gets an upper version"
)
def test_there_is_no_disagreement(defect, path):
    assert report_of(defect, path).ok


@pytest.mark.parametrize("defect", [defect for defect in register() if not defect.here()], ids=lambda defect: defect.id)
def test_a_defect_of_other_versions_does_not_show(defect):
    for path in defect.paths:
        assert report_of(defect, path).ok


BESIDE = {"onednn-bfloat16-nan-of-next-row": {"jacfwd-own-sample-not-finite"}}
"""What its network shows as well."""
OF_FORMS = {"sqrt-ggn-dropout-all", "sqrt-ggn-dropout-mask"}
"""What the models of the property `forms` show, whatever the network is."""


def of_known_defects_alone(network, path, laws):
    """What `laws` find on `network`, each explained by the register, and by which entries."""
    _, found, at_hand = looked_up(network, (path,), laws)
    for failure in found:
        if failure.property != "sizes" or THOROUGH:  # it takes as long again, and `forms` shows the same
            assert at_hand[failure] == known(failure, *network.build(), seed=network.seed)
    return {failure: {entry.id for entry in at_hand[failure]} for failure in found}


@pytest.mark.parametrize(("defect", "path"), CASES)
def test_each_defect_is_what_the_register_says(defect, path):
    network, asked = network_of(defect), "autograd" if path == FORWARD else path
    law = "enclosure" if defect.property == FORWARD else defect.property
    found = of_known_defects_alone(network, asked, (law,))
    assert Failure(path, defect.property, defect.kind) in found
    for names in found.values():
        assert defect.id in names
        assert names <= {defect.id} | BESIDE.get(defect.id, set())


@pytest.mark.long
@pytest.mark.parametrize(("defect", "path"), CASES)
def test_other_properties_see_it_as_well_and_nothing_else(defect, path):
    network, asked = network_of(defect), "autograd" if path == FORWARD else path
    # of a wide dtype each of thousands of arguments would be explained by itself, as those of a narrow one are
    by_sample = network.dtype in ("float64", "float32") and mode(get(asked)) == "forward"
    once = path == defect.paths[0] or THOROUGH  # `sizes` asks of many models
    laws = tuple(law for law in PROPERTIES if not (law == "every_input" and by_sample) and (law != "sizes" or once))
    for failure, names in of_known_defects_alone(network, asked, laws).items():
        of_forms = OF_FORMS if failure.property == "forms" else set()
        assert defect.id in names or names & of_forms
        assert names <= {defect.id} | BESIDE.get(defect.id, set()) | of_forms


class Faulty:
    """A path with a fault of its own beside those of its library."""

    def __init__(self, path, fault):
        self.path, self.fault = path, fault
        self.name, self.extra_roundings = path.name, getattr(path, "extra_roundings", 0)
        self.mode = getattr(path, "mode", "reverse")

    def jacobian(self, model, x):
        return {name: self.fault(j) for name, j in self.path.jacobian(model, x).items()}


def last_wrong(j):
    j = j.clone()
    j.view(-1)[-1:] = -123.0
    return j


FAULTS = {
    "a shift": lambda j: torch.where(j.isfinite(), j + 1000, j),
    "a finite value for one that is not": lambda j: j.nan_to_num(*[torch.finfo(j.dtype).max] * 3),
    "NaN for a finite value": lambda j: torch.where(j.isfinite(), torch.full_like(j, torch.nan), j),
    "one wrong entry": lambda j: last_wrong(j.contiguous()),
}


def differ(a, b):
    return ~((a == b) | (a.isnan() & b.isnan()))


@pytest.mark.parametrize(("defect", "path"), VALUES)
def test_a_fault_beside_a_known_defect_is_caught(defect, path, monkeypatch):
    network = network_of(defect)
    (model, x), seed = network.build(), network.seed
    failure, seen = Failure(path, "enclosure", "value"), set()
    original = Scene(Case(admit(model, x, seed=seed)), get(path)).got
    for name, fault in FAULTS.items():
        with monkeypatch.context() as patch:
            patch.setitem(_loaded, path, Faulty(get(path), fault))
            scene = Scene(Case(admit(model, x, seed=seed)), get(path))
            if any((scene.outside[p] & differ(scene.got[p], original[p])).any() for p in original):
                seen.add(name)
                assert known(failure, model, x, seed=seed) == (), name
    assert "a finite value for one that is not" in seen or "a shift" in seen


@pytest.mark.parametrize(("defect", "path"), VALUES)
def test_a_fault_in_another_sample_is_caught(defect, path, monkeypatch):
    """The known defect in the first samples, and each entry of a last one, with ordinary inputs, multiplied by 1.5."""
    network = network_of(defect)
    (model, x), seed = network.build(), network.seed
    x = torch.cat([x, torch.full_like(x[:1], 0.5)])

    def fault(j):
        return torch.cat([j[:-1], torch.where(j[-1:] == 0, torch.ones_like(j[-1:]), j[-1:] * 1.5)])

    with monkeypatch.context() as patch:
        patch.setitem(_loaded, path, Faulty(get(path), fault))
        scene = Scene(Case(admit(model, x, seed=seed)), get(path))
        assert any(mask[-1].any() for mask in scene.outside.values())
        assert known(Failure(path, "enclosure", "value"), model, x, seed=seed) == ()


class Raising:
    """A path that raises."""

    def __init__(self, path, error):
        self.name, self.error = path, error

    def jacobian(self, model, x):
        raise self.error


@pytest.mark.parametrize(("defect", "path"), RAISED)
def test_another_exception_at_the_same_place_is_caught(defect, path, monkeypatch):
    network = network_of(defect)
    (model, x), seed = network.build(), network.seed
    failure = Failure(path, "enclosure", "raised")
    for error in (RuntimeError("another"), TypeError(defect.when["message"])):
        with monkeypatch.context() as patch:
            patch.setitem(_loaded, path, Raising(path, error))
            assert known(failure, model, x, seed=seed) == ()


@pytest.mark.parametrize(("defect", "path"), RAISED)
def test_the_same_exception_at_another_place_is_caught(defect, path, monkeypatch):
    error = {"RuntimeError": RuntimeError, "ZeroDivisionError": ZeroDivisionError}[defect.when["error"]]
    model, x = torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.ones(3, 2)
    monkeypatch.setitem(_loaded, path, Raising(path, error(defect.when["message"])))
    assert known(Failure(path, "enclosure", "raised"), model, x) == ()


@pytest.mark.parametrize(("defect", "path"), FORWARDS)
def test_a_forward_pass_that_is_wrong_beside_a_known_defect_is_caught(defect, path):
    model, x = network_of(defect).build()
    failure = Failure(FORWARD, FORWARD, "value")
    assert known(failure, model, x) == (defect,)
    model.register_forward_hook(lambda module, args, output: output + 1)
    assert known(failure, model, x) == ()


@pytest.mark.parametrize(
    "defect", [d for d in register() if d.when["condition"] == "value" and d.here()], ids=lambda d: d.id
)
def test_a_layer_that_is_wrong_behind_a_wrong_value_is_caught(defect):
    linear = {"kind": "Linear", "width": 2, "weight": {"numbers": [1]}, "bias": {"numbers": [1]}}
    layers = [*defect.network["layers"], linear, {**linear, "width": 3}]
    network = Network.from_json(json.dumps({**defect.network, "layers": layers}))
    failure = Failure(FORWARD, FORWARD, "value")
    assert known(failure, *network.build()) == (defect,)
    with bank()["forward_linear_scaled"].inject():
        assert known(failure, *network.build()) == ()


@pytest.mark.skipif(not differentiates(squared_error, torch.float16, "cpu"), reason="no squared error in float16")
def test_two_known_defects_at_once_are_both_named():
    network = Network.from_json(
        json.dumps(
            {
                "format": 1,
                "layers": [{"kind": "Linear", "weight": {"numbers": [0.5]}}, {"kind": "ReLU"}],
                "batch": 2,
                "x": {"numbers": ["nan", 60000]},
                "dtype": "float16",
            }
        )
    )
    _, found = examined(network, ("sqrt_ggn_exact",), ("enclosure",))
    names = {defect.id for defect in known(*found, *network.build())}
    assert names == {"sqrt-ggn-relu-nan", "sqrt-ggn-sqrt2-overflow"}


def test_an_overflow_behind_another_defect_is_explained_by_both_together():
    """What is infinite and dropped is NaN: BackPACK takes it as kept, and its derivative times √2 overflows."""
    linear = {"kind": "Linear", "weight": {"numbers": [1]}, "bias": None}
    network = Network.from_json(
        json.dumps(
            {
                "format": 1,
                "layers": [linear, {"kind": "Dropout", "p": 0.1}],
                "batch": 30,
                "inputs": [2],
                "x": {"numbers": [1.3e308]},
            }
        )
    )
    (model, x), seed = network.build(), network.seed
    _, found = examined(network, ("sqrt_ggn_exact",), ("enclosure",))
    names = {defect.id for defect in known(*found, model, x, seed=seed)}
    assert names == {"sqrt-ggn-dropout-mask", "sqrt-ggn-sqrt2-overflow"}
    one = [defect for defect in register() if defect.id == "sqrt-ggn-sqrt2-overflow"]
    assert known(*found, model, x, one, seed=seed) == ()


def test_a_defect_is_known_by_exactness_too():
    layers = [{"kind": "Repeat", "layers": [{"kind": "Linear", "width": 0}]}]
    network = Network.from_json(json.dumps({"format": 1, "layers": layers, "x": {"numbers": [1]}}))
    _, found = examined(network, ("batch_grad",), ("exact",))
    assert [defect.id for defect in known(*found, *network.build())] == ["batch-grad-layer-used-twice"]


def test_what_does_not_show_is_not_known():
    defect = next(defect for defect in register() if defect.kind == "value")
    model, x = Network.from_json('{"format": 1, "layers": [{"kind": "Linear"}, {"kind": "ReLU"}]}').build()
    assert known(Failure(defect.paths[0], defect.property, defect.kind), model, x, [defect]) == ()


@pytest.mark.parametrize(
    "other",
    [
        {"versions": "<0.1"},
        {"library": "numpy_nobody_has"},
        {"paths": ("vmap_jacrev",)},
        {"property": "state"},
        {"kind": "raised"},
    ],
)
def test_an_entry_for_another_version_path_property_or_kind_does_not_count(other):
    defect = register()[0]
    problem = network_of(defect).build()
    failure = Failure(defect.paths[0], defect.property, defect.kind)
    assert known(failure, *problem, [defect]) == (defect,)
    assert known(failure, *problem, [replace(defect, **other)]) == ()


@pytest.mark.parametrize("defect", register(), ids=lambda defect: defect.id)
def test_looking_a_failure_up_leaves_no_trace(defect):
    network = network_of(defect)
    model, x = network.build()
    snapshot = Snapshot.take(model, x)
    known(Failure(defect.paths[0], defect.property, defect.kind), model, x, seed=network.seed)
    assert snapshot.changes() == []


def test_a_failure_looked_up_in_the_middle_of_a_check_leaves_the_next_path_what_it_was():
    """Also the problems that a property makes, which all paths are asked."""
    network = Network(
        (Linear(2), Activation("ELU"), Linear(1)), inputs=(2,), x=Values("uniform", seed=1), dtype="float32"
    )
    with bank()["backpack_linear_weight_transposed"].inject():
        found = looked_up(network, ("sqrt_ggn_exact", "autograd"), ("sizes",), words=False)
    assert {failure.path for failure in found.failures} == {"sqrt_ggn_exact"}


@pytest.mark.parametrize("activation", ["Hardtanh", "ReLU"])
def test_a_fault_behind_a_known_defect_is_the_one_that_is_shown(activation):
    """Of the activations by themselves the first one shows a defect of torch's, the second one the path's own fault."""
    gelu = Activation("GELU", (("approximate", "tanh"),))
    layers = (Linear(2), gelu, Linear(2), Activation(activation), Linear(1))
    network = Network(layers, dtype="float32", x=Values(numbers=(1.0,)))

    def fault(model, x, J):
        return doubled(model, x, J) if type(model[1]).__name__ == activation and J["0.bias"].numel() > 4 else J

    with planted(fault, base="autograd") as path:
        _, found, known = looked_up(network, (path,), ("every_input",))
        alone = looked_up(network, ("autograd",), ("every_input",))
    assert [defect.id for defects in alone.known.values() for defect in defects] == ["gelu-tanh-square-overflow"]
    assert not known
    verdict = next(iter(found.values())).verdicts[path]
    assert verdict.reason.startswith(activation)
    assert verdict.got == 2 * verdict.centre
    assert verdict.looks_like == "a constant factor of 2"


def test_the_register_is_well_formed():
    defects = register()
    assert len({defect.id for defect in defects}) == len(defects)
    for defect in defects:
        assert set(defect.paths) <= {*_BUILT_IN, *_PEERS, FORWARD}
        assert defect.library in ("torch", "backpack")
        assert defect.property in {*PROPERTIES, FORWARD}
        assert defect.kind in ("value", "raised")
        assert defect.when["condition"] in {*EMULATIONS, *MASKS, *RAISING, *OF_FORWARDS}
        assert defect.when.get("input", "nan") in INPUTS
        assert not isinstance(defect.when.get("taken_as"), str) or defect.when["taken_as"] in SLOPES
        assert defect.upstream is None or defect.upstream.startswith("https://")
        assert isinstance(in_range("1.0", defect.versions), bool)


@pytest.mark.parametrize(
    ("version", "comparisons", "inside"),
    [
        ("2.13.0+cpu", ">=2.2", True),
        ("2.1.9", ">=2.2", False),
        ("2.2", ">=2.2.0", True),
        ("1.7.1", ">=1.6, <1.7", False),
        ("1.7.1", ">1.6,<=1.7.1", True),
        ("1.10.0", "<1.9", False),
        ("1.7.1.dev3", "==1.7.1", True),
        (None, ">=0", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version, comparisons, inside):
    assert in_range(version, comparisons) is inside


@pytest.mark.parametrize(("version", "comparisons"), [("1.0", "~=1.0"), ("1.0", ">=x"), ("x", ">=1.0"), ("1.0", "")])
def test_what_is_no_comparison_of_versions_is_refused(version, comparisons):
    with pytest.raises(InvalidProblem, match="is no"):
        in_range(version, comparisons)


def test_a_derivative_that_is_wrong_in_torch_too_is_not_explained_by_another_argument_s():
    """BackPACK's ReLU' at NaN is known; ReLU'(0) = 1 is not, though autograd gives the same where torch has it, too."""
    failure = Failure("sqrt_ggn_exact", "every_input", "value")
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU())
    x = torch.zeros(1, 1)
    assert [defect.id for defect in known(failure, model, x)] == ["sqrt-ggn-relu-nan"]
    with bank()["everywhere_relu_closed"].inject():
        assert known(failure, model, x) == ()


def test_a_fault_elsewhere_among_all_arguments_is_not_explained_though_torch_gives_it_in_the_emulation_too():
    """At some of the 65,536 arguments Softplus' gradient overflows; at others a fault is put into torch."""
    failure = Failure("autograd", "every_input", "value")
    model, x = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Softplus(threshold=40)), torch.zeros(1, 1)
    with bank()["kernel_softplus_threshold"].inject():
        assert not jaccheck.check(model, x, paths=("autograd",), properties=("every_input",)).ok
        assert known(failure, model, x) == ()


def test_what_a_sample_has_alone_may_be_hidden_by_nan_from_another_one():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Hardsigmoid()).double()
    failure = Failure("autograd", "enclosure", "value")
    found = known(failure, model, torch.tensor([[torch.inf], [0.5]], dtype=torch.float64))
    assert {defect.id for defect in found} == {"autograd-other-sample-not-finite", "hardsigmoid-float64"}


def test_what_a_sample_has_alone_may_be_hidden_where_a_layer_draws_too():
    """CELU's defect in float64, of a sample beside NaN, under the masks that Dropout draws for the whole batch."""
    layers = [{"kind": "Linear"}, {"kind": "CELU", "alpha": 1.7}, {"kind": "Dropout"}]
    network = Network.from_json(
        json.dumps({"format": 1, "layers": layers, "batch": 9, "x": {"numbers": [-2], "put": [[4, "nan"]]}})
    )
    _, found = examined(network, ("autograd",), ("enclosure",))
    (failure,) = found
    defects = {entry.id for entry in known(failure, *network.build(), seed=network.seed)}
    assert defects == {"autograd-other-sample-not-finite", "celu-float64"}


DERIVATIVES = [d for d in register() if d.library == "torch" and d.when["condition"] == "derivative" and d.here()]


@pytest.mark.parametrize("defect", DERIVATIVES, ids=lambda defect: defect.id)
@pytest.mark.parametrize("law", ["enclosure", "every_input"])
def test_an_activation_written_as_a_function_has_its_layer_s_defects(defect, law):
    layers = [
        {**layer, "functional": True} if layer["kind"] == defect.when["layer"] else layer
        for layer in defect.network["layers"]
    ]
    network = Network.from_json(json.dumps({**defect.network, "layers": layers}))
    _, found = examined(network, ("autograd",), (law,))
    assert [failure.kind for failure in found] == ["value"]
    assert [defect] == [entry for failure in found for entry in known(failure, *network.build())]


def test_a_value_in_the_place_of_another_has_roundings_of_its_own():
    """A mask taken from ``output != 0`` keeps NaN that is dropped: in place of 0 stands ``7 √2 √2``, not quite 14."""
    layers = [{"kind": "Linear", "bias": None}, {"kind": "Dropout"}]
    network = Network.from_json(
        json.dumps({"layers": layers, "batch": 9, "inputs": [2], "x": {"numbers": ["nan", 7]}, "format": 1})
    )
    _, found = examined(network, ("sqrt_ggn_exact",), ("enclosure",))
    (failure,) = found
    assert [entry.id for entry in known(failure, *network.build(), seed=network.seed)] == ["sqrt-ggn-dropout-mask"]


def test_what_a_sample_has_alone_is_known_where_the_others_overflow_by_chance():
    """Whatever their input is: the bias does it, but for the sample whose unit is dropped."""
    layers = [{"kind": "Linear", "bias": {"numbers": [-(2.0**1023)]}}, {"kind": "Dropout"}, {"kind": "Linear"}]
    network = Network.from_json(json.dumps({"format": 1, "layers": layers, "batch": 3}))
    _, found = examined(network, ("autograd",), ("enclosure",))
    (failure,) = found
    known_here = known(failure, *network.build(), seed=network.seed)
    assert [entry.id for entry in known_here] == ["autograd-other-sample-not-finite"]


def test_a_bound_that_holds_for_a_sample_holds_beside_nan_too():
    """Products that end at the largest number: what is known of one sample doesn't depend on its company."""
    layers = [{"kind": "Linear", "bias": None}, {"kind": "Sigmoid"}]
    network = Network.from_json(json.dumps({"format": 1, "layers": layers, "x": {"numbers": [1.7976931348623157e308]}}))
    _, found = examined(network, ("autograd",), ("batching",))
    (failure,) = found
    assert [entry.id for entry in known(failure, *network.build())] == ["autograd-other-sample-not-finite"]


@dataclass(frozen=True)
class Own:
    """A path of a user's, which makes something of another one's Jacobian."""

    base: str
    make: Callable[[Tensor], Tensor] = lambda j: j
    name: str = "own"
    mode: str = "reverse"

    def jacobian(self, model, x):
        return {name: self.make(j) for name, j in get(self.base).jacobian(model, x).items()}


def spread(j):
    """NaN in all of the second sample."""
    return torch.cat([j[:1], torch.nan * j[1:]])


@pytest.mark.parametrize(
    ("path", "excused"),
    [(Own("autograd"), True), (Own("autograd", lambda j: 2 * j), False), (Own("batch_grad", spread), False)],
    ids=["autograd by another name", "twice that", "NaN in the biases' rows, where autograd has none"],
)
def test_the_spread_of_nan_is_known_in_others_paths_where_autograd_has_it(path, excused):
    model, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), torch.tensor([[torch.nan, 1], [1, 2]])
    register_path(path)
    try:
        found = list(failures(jaccheck.check(model, x, paths=["own"])))
        assert found
        assert all(known(failure, model, x) for failure in found) == excused
    finally:
        unregister_path("own")


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.scale = nn.Linear(2, 2), nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.linear(x) * self.scale


def test_defects_are_known_where_a_parameter_is_a_scalar():
    model, x = Scaled(), torch.tensor([[1.0, torch.nan], [1, 1]])
    (failure,) = failures(jaccheck.check(model, x, paths=["autograd"]))
    assert [entry.id for entry in known(failure, model, x)] == ["autograd-other-sample-not-finite"]


@pytest.mark.parametrize(
    ("path", "excused"),
    [
        (Own("vmap_jacfwd", mode="forward"), True),
        (Own("vmap_jacfwd", lambda j: torch.nan * j, mode="forward"), False),
        (Own("autograd", lambda j: torch.nan * j), False),
    ],
    ids=["forward mode by another name", "NaN in all of it", "NaN in reverse mode"],
)
def test_nan_of_forward_mode_is_known_in_others_paths_where_ours_has_it(path, excused):
    model, x = nn.Linear(1, 1), torch.tensor([[torch.inf], [1.0]])
    register_path(path)
    try:
        (failure,) = failures(jaccheck.check(model, x, paths=["own"]))
        assert bool(known(failure, model, x)) == excused
    finally:
        unregister_path("own")
