import json
import re
from dataclasses import replace

import pytest
from hypothesis import given

import jaccheck
from jaccheck._errors import InvalidProblem
from jaccheck._finding import CRASH, FORWARD, Failure, Finding, again, examined, failures, recognized, replay
from jaccheck._network import Network
from jaccheck._report import ForwardFinding
from jaccheck.strategies import networks
from tests.planted import doubled, leaving_gradients, planted
from tests.reports import AGREES, WRONG, report

NETWORK = Network.from_json('{"format": 1, "layers": [{"kind": "Linear", "width": 2}], "batch": 2, "dtype": "float32"}')
FINDING = Finding(Failure("planted", "enclosure", "value"), NETWORK, ("autograd", "planted"))
PROPERTIES = ("enclosure", "state", "determinism")


@given(networks())
def test_a_finding_comes_back_from_its_json(network):
    finding = Finding(Failure("a", "state", "state"), network, ("a", "b"))
    back = Finding.from_json(finding.to_json())
    assert back == finding
    assert back.versions == finding.versions
    assert back.to_json() == finding.to_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format is 2, but a saved failure has format 1"),
        ({"path": 3}, "path should be a string, but is 3"),
        ({"kind": None}, "kind should be a string, but is None"),
        ({"paths": []}, r"paths should be a list of names, but is \[\]"),
        ({"paths": "a"}, "paths should be a list of names, but is 'a'"),
        ({"paths": [1]}, "paths should be a list of names"),
        ({"versions": []}, "versions should be an object"),
        ({"network": {"format": 1, "batch": -1}}, "batch is -1"),
        ({"network": 3}, "a network is 3"),
    ],
)
def test_what_is_no_finding_is_refused_by_its_field(change, says):
    with pytest.raises(InvalidProblem, match=says):
        Finding.from_json(json.dumps({**FINDING.data(), **change}))


def test_a_finding_without_a_network_and_a_network_without_a_finding_are_refused():
    without = {name: value for name, value in FINDING.data().items() if name != "network"}
    with pytest.raises(InvalidProblem, match="network is missing"):
        Finding.from_json(json.dumps(without))
    with pytest.raises(InvalidProblem, match="this is a network and no saved failure; use: jaccheck check"):
        Finding.from_json(NETWORK.to_json())


@pytest.mark.parametrize("text", ["", "{", "[" * 10**5, "[]", "3"])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(InvalidProblem, match="a saved failure should be"):
        Finding.from_json(text)


def test_it_is_saved_under_a_name_of_its_own(tmp_path):
    file = FINDING.save(tmp_path / "new" / "folder")
    assert re.fullmatch(r"planted-enclosure-value-[0-9a-f]{8}\.json", file.name)
    assert Finding.from_json(file.read_text(encoding="utf-8")) == FINDING
    assert FINDING.save(tmp_path / "new" / "folder") == file
    odd = Finding(Failure("../odd path", "enclosure", "value"), NETWORK, ("a",))
    assert odd.save(tmp_path).parent == tmp_path
    assert Finding(Failure(FORWARD, FORWARD, "value"), NETWORK, ("a",)).file_name.startswith("forward-value-")


def test_the_command_that_shows_it_again_loads_what_registers_its_path():
    assert replay("f.json", ()) == "jaccheck replay f.json"
    assert replay("a b.json", ("half.py", "twice")) == "jaccheck replay 'a b.json' --load half.py --load twice"


def test_no_two_failures_on_a_network_have_the_same_file():
    one = Failure("a b", "enclosure", "value")
    others = [one, *(one._replace(**{name: "a_b"}) for name in Failure._fields)]
    assert len({Finding(failure, NETWORK, ("a",)).file_name for failure in others}) == 5


def test_failures_are_told_apart_by_path_property_and_kind():
    forward = ForwardFinding("1", (0,), 1.0, 0.0, 0.0, 1.0)
    assert list(failures(report(AGREES))) == []
    assert list(failures(report(AGREES, WRONG, forward=forward))) == [
        Failure(FORWARD, FORWARD, "value"),
        Failure("sqrt_ggn_exact", "enclosure", "value"),
    ]


def test_each_failure_of_a_network_is_found_with_the_report_that_shows_it():
    def both(model, x, J):
        return doubled(model, x, leaving_gradients(model, x, J))

    with planted(both) as path:
        whole, found = examined(NETWORK, ("autograd", path), PROPERTIES)
        assert not whole.ok
        assert list(found) == [Failure(path, "enclosure", "value"), Failure(path, "state", "state")]
        for failure, told in found.items():
            assert list(told.verdicts) == [path, "autograd"]
            assert told.verdicts[path].property == failure.property
            assert told.verdicts[path].kind == failure.kind
            shown = eval(told.again, {"jaccheck": jaccheck})
            assert list(failures(shown)) == [failure]


def test_a_network_without_a_failure_has_none():
    whole, found = examined(NETWORK, ("autograd",), PROPERTIES)
    assert whole.ok
    assert found == {}


def test_a_failure_that_comes_and_goes_is_not_lost():
    calls = []

    def once(model, x, J):
        calls.append(1)
        return doubled(model, x, J) if len(calls) == 1 else J

    with planted(once) as path:
        _, found = examined(NETWORK, (path,), ("enclosure", "state"))
    assert list(found) == [Failure(path, "enclosure", "value")]


def test_a_failure_reads_as_words():
    assert str(Failure("a", "enclosure", "value")) == "a: enclosure (value)"
    assert str(Failure(FORWARD, FORWARD, "value")) == "the forward pass is wrong"
    assert str(Failure(CRASH, CRASH, "KeyError")) == "jaccheck itself raised KeyError"


def test_a_wrong_forward_pass_is_shown_again_by_all_paths():
    assert again(NETWORK, ("a", "b"), Failure(FORWARD, FORWARD, "value")).endswith(".build(), paths=('a', 'b'))")


def shaped(kind, shape):
    verdict = replace(WRONG, path="planted", error_shape=shape)
    return Finding(Failure("planted", "enclosure", kind), NETWORK, ("planted",), report(verdict))


def test_a_finding_is_recognized_by_its_shape_as_far_as_both_have_one():
    first = shaped("value", "factor")
    (name,) = recognized({first.failure: first}, {})
    assert name == first.failure
    listed = {name: "scaled"}
    for shape in ("factor", "sign", "sum and mean", None, "one layer only"):
        other = shaped("value", shape)
        assert list(recognized({other.failure: other}, listed)) == [name]
    moved = shaped("value", "permuted samples")
    (second,) = recognized({moved.failure: moved}, listed)
    assert second == Failure("planted", "enclosure", "value", "moved")
    assert str(second) == "planted: enclosure (value, moved)"
    listed[second] = "moved"
    for shape, expected in (("transposed axes", second), ("factor", name), (None, name)):
        other = shaped("value", shape)
        found = recognized({other.failure: other}, listed)
        assert list(found) == [expected]
        assert found[expected].failure == expected
    back = Finding.from_json(found[expected].called(second).to_json())
    assert back.failure == second


def test_the_file_of_an_earlier_release_has_no_shape():
    data = FINDING.data()
    del data["shape"]
    assert Finding.from_json(json.dumps(data)) == FINDING
