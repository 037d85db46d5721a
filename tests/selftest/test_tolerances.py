"""The usual rules beside the enclosure, on a few networks and faults."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from jaccheck._layers import Linear
from jaccheck._network import Network
from jaccheck._values import Values
from jaccheck.cli import main
from jaccheck.properties import DEFAULT, PROPERTIES
from jaccheck.selftest.faults import bank
from jaccheck.selftest.tolerances import ENCLOSURE, EVERYTHING, RULES, Row, Tolerances, _without_fault, tolerances
from tests.documented import assert_documented

FAULTS = ("sign", "one_ulp", "leaves_grad", "zeros_negative")


@pytest.fixture(scope="module")
def found():
    return tolerances([bank()[name] for name in FAULTS], networks=7, seed=1)


@pytest.mark.long
def test_each_rule_has_its_record(found):
    assert [row.rule for row in found.rows] == [*RULES, ENCLOSURE, EVERYTHING]
    assert {row.faults for row in found.rows} == {3}  # one can't be seen
    (comparisons,) = {row.comparisons for row in found.rows}
    assert comparisons > 25


def test_the_enclosure_finds_no_fault_with_right_results_and_the_usual_rules_do(found):
    *usual, enclosure, everything = found.rows
    assert enclosure.alarms == everything.alarms == 0
    assert sum(row.alarms for row in usual) > 0
    assert all(row.alarms < row.comparisons for row in usual)
    assert all(sum(found.by_dtype[row.rule].values()) == row.alarms for row in found.rows)


def test_an_alarm_of_any_property_is_one_of_all_properties():
    rows = {rule: Row(rule) for rule in (*RULES, ENCLOSURE, EVERYTHING)}
    network = Network((Linear(bias=None),), x=Values(numbers=(1,)))
    with bank()["leaves_grad"].inject():
        _without_fault(network, ("enclosure", "state"), rows, {rule: Counter() for rule in rows})
    assert {rule: row.alarms for rule, row in rows.items()} == {**dict.fromkeys(rows, 0), EVERYTHING: 1}


def test_what_no_comparison_of_values_can_see_all_properties_do(found):
    killed = {row.rule: row.killed for row in found.rows}
    assert all(1 <= killed[rule] < killed[EVERYTHING] for rule in RULES)
    assert killed[EVERYTHING] >= 3


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.ones(2), torch.ones(2).double()),
        (torch.ones(2), torch.zeros(2)),
        (torch.ones(1), torch.ones(1) * torch.nan),
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_each_rule_can_say_no(rule, got, expected):
    from jaccheck.selftest.tolerances import _all_close

    assert _all_close(RULES[rule], {"p": got}, {"p": got})
    assert not _all_close(RULES[rule], {"p": got}, {"p": expected})


def test_it_is_shown_as_a_table_as_data_and_as_a_picture(found, tmp_path):
    text = str(found)
    assert all(row.rule in text for row in found.rows)
    assert json.loads(json.dumps(found.data()))["rules"][0]["rule"] == "torch.allclose"
    found.plot(tmp_path / "tolerances.png")
    assert (tmp_path / "tolerances.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_has_room_without_false_alarms_and_hides_no_rule():
    rows = [Row(rule, comparisons=14, faults=10, killed=killed) for rule, killed in [("a", 3), ("b", 3), ("c", 4)]]
    (ax,) = Tolerances(0, 3, rows).figure().axes
    low, high = ax.get_xlim()
    assert -0.1 * high < low < 0 < 1 <= high
    below, above, alone = (line.get_markersize() for line in ax.lines)
    assert below > above + 3
    assert above == alone
    assert {handle.get_markersize() for handle in ax.get_legend().legend_handles} == {alone}


def test_the_command(tmp_path, capsys):
    options = ["tolerances", "--networks", "2", "--sample", "1", "--seed", "5", "--json"]
    options += ["--plot", str(tmp_path / "t.svg")]
    assert main(options) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("without a fault: network 1 of 2\n")
    data = json.loads(captured.out)
    assert data["networks"] == 2
    assert_documented("tolerances", data)
    assert (tmp_path / "t.svg").exists()


CHEAP = {law: PROPERTIES[law] for law in DEFAULT}


@pytest.mark.parametrize("before", ["network 2 of 2", pytest.param("fault 2 of 2", marks=pytest.mark.long)])
def test_ctrl_c_ends_in_what_has_been_counted(capsys, monkeypatch, before):
    def looked_at(words, **options):
        if before in words:
            raise KeyboardInterrupt
        print(words, **options)

    monkeypatch.setattr("jaccheck.cli.tolerances.print", looked_at, raising=False)
    monkeypatch.setattr("jaccheck.selftest.tolerances.PROPERTIES", CHEAP)
    assert main(["tolerances", "--networks", "2", "--sample", "2", "--seed", "3", "--json"]) == 130
    data = json.loads(capsys.readouterr().out)
    assert (data["interrupted"], data["networks"]) == (True, 2)
    assert_documented("tolerances", data)
    assert main(["tolerances", "--networks", "2", "--sample", "2", "--seed", "3"]) == 130
    assert "\ninterrupted after 2 networks, " in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--networks", "0"], ["--sample", "0"], ["--seed", "-1"]])
def test_bad_usage_is_refused(options, capsys):
    assert main(["tolerances", *options]) == 2
    assert "jaccheck: " in capsys.readouterr().err
