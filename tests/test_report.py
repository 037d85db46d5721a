import copy
import json
import math
import pickle
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaccheck
from jaccheck._errors import InvalidProblem
from jaccheck._report import KINDS, STATUSES, ForwardFinding, Image, ProblemFacts, Report, Verdict
from tests.reports import AGREES, EVERYTHING, FACTS, FORWARD, WRONG, image, report

SCHEMA = json.loads((Path(jaccheck.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))


def strict(text: str) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} isn't JSON")

    return json.loads(text, parse_constant=refuse)


def conforms(value: object, schema: dict) -> bool:
    """The part of JSON Schema that the schema of a report uses."""
    if "$ref" in schema:
        return conforms(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "anyOf" in schema:
        return any(conforms(value, option) for option in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    python = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
    if not any(type(value) in (int, float) if t == "number" else type(value) is python[t] for t in types):
        return False
    if isinstance(value, list):
        return all(conforms(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        return all(name in value for name in schema.get("required", ())) and all(
            conforms(item, known[name]) if name in known else others is not None and conforms(item, others)
            for name, item in value.items()
        )
    return True


numbers = st.floats(width=64)
maybe = st.none() | numbers
radii = st.floats(min_value=0)
counts = st.integers(0, 2**40)
words = st.none() | st.text(max_size=20)
indices = st.none() | st.lists(st.integers(0, 99), max_size=4).map(tuple)
names = st.text("ab_.0", min_size=1, max_size=8)
verdicts = st.builds(
    Verdict,
    path=names,
    status=st.sampled_from(STATUSES),
    kind=st.none() | st.sampled_from(KINDS),
    property=st.sampled_from(["enclosure", "state"]),
    reason=words,
    parameter=words,
    shape=indices,
    index=indices,
    got=maybe,
    centre=maybe,
    radius=st.none() | radii,
    ratio=maybe,
    outside=counts,
    elements=counts,
    vacuous=counts,
    resolution=maybe,
    resolutions=st.dictionaries(names, numbers, max_size=2),
    difference=maybe,
    seconds=maybe,
).filter(lambda verdict: verdict.vacuous <= verdict.elements)
facts = st.builds(
    ProblemFacts,
    N=counts,
    C=counts,
    parameters=st.dictionaries(names, st.lists(st.integers(0, 9), max_size=3).map(tuple), max_size=3),
    dtype=st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
    device=st.sampled_from(["cpu", "cuda:0"]),
    versions=st.dictionaries(names, names, max_size=2),
)
pictures = st.lists(st.lists(numbers, max_size=3).map(tuple), max_size=3).map(tuple)
images = st.builds(Image, rows=counts, columns=counts, values=pictures, outside=pictures)
forwards = st.builds(
    ForwardFinding,
    layer=names,
    index=st.lists(counts, max_size=3).map(tuple),
    got=numbers,
    centre=numbers,
    radius=radii,
    ratio=numbers,
)
reports = st.builds(
    Report,
    verdicts=st.lists(verdicts, max_size=3).map(lambda drawn: {verdict.path: verdict for verdict in drawn}),
    problem=facts,
    forward=st.none() | forwards,
    again=words,
    images=st.dictionaries(names, images, max_size=2),
)


@given(reports)
def test_json_is_strict_conforms_to_the_schema_and_comes_back(drawn):
    text = drawn.to_json(images=True)
    assert conforms(strict(text), SCHEMA)
    again = Report.from_json(text)
    assert repr(again) == repr(drawn)
    assert repr(again.images) == repr(drawn.images)
    assert again.to_json(images=True) == text


@given(reports)
def test_every_report_can_be_read_by_a_person(drawn):
    text = str(drawn)
    assert all(verdict.path in text or repr(verdict.path) in text for verdict in drawn.verdicts.values())


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Verdict, "verdict"), (ForwardFinding, "forward"), (ProblemFacts, "problem"), (Image, "image")],
)
def test_the_schema_names_every_field_and_no_other(kind, name):
    assert list(SCHEMA["$defs"][name]["properties"]) == [field.name for field in fields(kind)]


def test_the_schema_check_can_fail():
    data = strict(EVERYTHING.to_json())
    assert conforms(data, SCHEMA)
    for change in ({"format": 2}, {"ok": 1}, {"other": 1}, {"verdicts": {"a": {"path": "a"}}}, {"again": 3}):
        assert not conforms({**data, **change}, SCHEMA)


def test_pictures_are_left_out_of_the_json_unless_asked_for():
    assert strict(EVERYTHING.to_json())["images"] == {}
    assert strict(EVERYTHING.to_json(images=True))["images"]["autograd"]["rows"] == 4


def test_it_is_ok_unless_a_path_disagrees_or_the_forward_pass_is_wrong():
    assert report(AGREES, Verdict("a", "unsupported"), Verdict("b", "vacuous")).ok
    assert not report(AGREES, WRONG).ok
    assert not report(AGREES, forward=FORWARD).ok


def test_it_can_be_pickled_and_copied():
    assert pickle.loads(pickle.dumps(EVERYTHING)).verdicts == EVERYTHING.verdicts
    assert copy.deepcopy(EVERYTHING).images == EVERYTHING.images


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "a report should be JSON, but: Expecting property name"),
        ("[" * 10**5, "a report should be JSON, but"),
        ("[1]", r"a report should be an object with format 1, but is '\[1\]'"),
        ('{"format": 2}', "with format 1"),
        ('{"format": 1}', "report.verdicts is missing"),
        ('{"format": 1, "verdicts": [], "problem": {}}', r"report.verdicts should be an object, but is '\[\]'"),
        ('{"format": 1, "verdicts": {}, "problem": {"N": "two"}}', "report.problem.C is missing"),
    ],
)
def test_a_text_that_is_no_report_is_refused_by_the_field_at_fault(text, says):
    with pytest.raises(InvalidProblem, match=says):
        Report.from_json(text)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("status", "fine", "report.verdicts.sqrt_ggn_exact has status 'fine'"),
        ("kind", "odd", "report.verdicts.sqrt_ggn_exact has .* kind 'odd'"),
        ("outside", 1.5, "report.verdicts.sqrt_ggn_exact.outside should be an integer, but is '1.5'"),
        ("outside", True, "report.verdicts.sqrt_ggn_exact.outside should be an integer, but is 'True'"),
        ("got", "nan", "report.verdicts.sqrt_ggn_exact.got should be a number, but is 'nan'"),
        ("index", [1, "a"], "report.verdicts.sqrt_ggn_exact.index should be an integer, but is 'a'"),
        ("resolutions", {"0.weight": None}, "resolutions.0.weight should be a number, but is 'None'"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field, value, says):
    data = strict(EVERYTHING.to_json())
    data["verdicts"]["sqrt_ggn_exact"][field] = value
    with pytest.raises(InvalidProblem, match=says):
        Report.from_json(json.dumps(data))


def test_the_text_of_a_disagreement_says_who_what_where_and_how_to_see_it_again():
    assert str(report(AGREES, WRONG, again="jaccheck.check(model, x)")) == (
        "'sqrt_ggn_exact' lies outside the enclosure of the Jacobian.\n"
        "  parameter   '0.weight' [2, 3], float32 on cpu\n"
        "  at          [n=1, c=0, 1, 2], the worst of 12 outside, of 32\n"
        "  got         -1.41421354\n"
        "  enclosure   -1.0 ± 3.1e-07, ratio |got - centre| / radius = 1.3e+06\n"
        "  vacuous     4 of 32 elements: nothing is known of them\n"
        "\n"
        "  path            verdict            resolution  vacuous         seconds\n"
        "  autograd        agrees             2.1e-06     0               0.012\n"
        "  sqrt_ggn_exact  disagrees (value)              4 of 32 (12 %)\n"
        "  again       jaccheck.check(model, x)"
    )


def test_the_text_of_agreement_has_a_line_for_each_path():
    vacuous = Verdict("vmap_jacrev", "vacuous", reason="no enclosure for Conv2d", difference=3e-7, seconds=12.3)
    some = replace(AGREES, path="batch_grad", vacuous=1, elements=1000)
    assert str(report(AGREES, some, vacuous)) == (
        "2 paths agree, 1 path is vacuous, with differences of up to 3e-07: "
        "Jacobian [N=2, C=2, 8 entries of 2 parameters], float32 on cpu.\n"
        "  path         verdict  resolution  vacuous           seconds\n"
        "  autograd     agrees   2.1e-06     0                 0.012\n"
        "  batch_grad   agrees   2.1e-06     1 of 1000 (<1 %)  0.012\n"
        "  vmap_jacrev  vacuous                                12"
        "       no enclosure for Conv2d; largest difference to the other paths 3e-07"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_disagreement_has_a_headline_and_its_reason(kind):
    verdict = Verdict("mine", "disagrees", kind=kind, property="state", reason="one\ntwo", parameter="0.weight")
    first, *rest = str(report(verdict, AGREES)).splitlines()
    assert first.startswith("'mine' ")
    assert first.endswith(".")
    assert re.search(r"\n  (raised|changed|because) +one\n +two\n", "\n".join(["", *rest]))
    headlines = {str(report(replace(verdict, kind=other))).splitlines()[0] for other in KINDS}
    assert len(headlines) == len(KINDS)


def test_every_path_at_fault_is_named_and_vacuous_elements_of_those_that_agree_are_shown():
    both = report(WRONG, replace(WRONG, path="batch_grad"), replace(AGREES, vacuous=3), Verdict("odd", "unsupported"))
    text = str(both)
    assert text.count("lies outside the enclosure") == 2
    assert re.search(r"  autograd +agrees +2.1e-06 +3 of 32 \(9 %\) +0.012\n", text)
    assert re.search(r"  odd +unsupported\n?", text)


def test_a_wrong_forward_pass_accuses_no_path():
    text = str(report(AGREES, forward=FORWARD))
    assert text.startswith("The model's own values lie outside their enclosure")
    assert "  layer       '1', float32 on cpu\n  at          [0, 1]\n  got         nan\n" in text
    assert "disagree" not in text


@given(st.floats(-1e308, 1e308), st.sampled_from([0.0, 1e-300, 1e-9, 0.1, 1e300, math.inf]))
def test_a_centre_is_written_to_within_a_hundredth_of_its_radius(centre, radius):
    verdict = replace(WRONG, centre=centre, radius=radius)
    line = next(line for line in str(report(verdict)).splitlines() if line.startswith("  enclosure"))
    written = float(line.split()[1])
    assert written == centre or abs(written - centre) <= max(radius / 100, 1e-16 * abs(centre))


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 53), ("float32", 24), ("float16", 11), ("bfloat16", 8)])
def test_a_value_is_written_so_that_it_can_be_told_from_its_neighbours(dtype, digits):
    near = [1 + k * 2.0 ** (1 - digits) for k in range(9)]
    lines = [str(report(replace(WRONG, got=value), problem=replace(FACTS, dtype=dtype))) for value in near]
    assert len(set(lines)) == len(near)


def test_a_picture_counts_neither_in_equality_nor_in_repr():
    assert replace(EVERYTHING, images={}) == EVERYTHING
    assert "Image" not in repr(report(AGREES, images={"autograd": image()}))
