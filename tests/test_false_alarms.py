"""The measurement of false alarms: it runs, it repeats itself, and it can fail."""

from __future__ import annotations

import json

import pytest
import torch

from jaccheck import jacobian, register_path
from jaccheck.fuzz.turns import EVERY
from jaccheck.paths import unregister_path
from jaccheck.properties import PROPERTIES
from tests import false_alarms


class TwiceTheJacobian:
    name = "twice"

    def jacobian(self, model, x):
        return {name: 2 * j for name, j in jacobian(model, x).items()}


@pytest.fixture
def wrong_path():
    register_path(TwiceTheJacobian())
    yield TwiceTheJacobian.name
    unregister_path(TwiceTheJacobian.name)


def test_a_wrong_path_is_an_unexplained_disagreement(wrong_path, capsys):
    assert false_alarms.main(["--networks", "10", "--path", wrong_path, "--property", "enclosure"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["networks"] == 10
    (found,) = (d for d in summary["disagreements"] if d["kind"] == "value")
    assert found["path"] == wrong_path
    assert found["known"] == []
    assert found["examples"]


def test_the_same_seed_gives_the_same_networks():
    assert list(false_alarms.drawn("0/0", 20)) == list(false_alarms.drawn("0/0", 20))
    assert list(false_alarms.drawn("0/0", 20)) != list(false_alarms.drawn("1/0", 20))


def test_what_was_measured_has_a_number_for_each_dtype(capsys):
    false_alarms.main(["--networks", "20", "--path", "batch_grad", "--property", "enclosure", "--measure-every", "1"])
    summary = json.loads(capsys.readouterr().out)
    assert summary["median |radius| / |Jacobian| in u"].keys() == {"float64", "float32", "float16", "bfloat16"}
    assert all(
        0 <= ratio <= 1 for found in summary["largest |value - centre| / radius"].values() for ratio in found.values()
    )
    assert torch.get_num_threads() == 1


@pytest.mark.long
def test_each_network_gets_the_cheap_properties_and_at_least_every_fourth_one_of_the_others_as_in_fuzz(capsys):
    false_alarms.main(["--networks", "12", "--path", "batch_grad"])
    summary = json.loads(capsys.readouterr().out)
    checks = summary["checks by property"]
    cheap = [law for law in PROPERTIES if PROPERTIES[law].cheap]
    assert [checks[law] for law in cheap] == [checks["enclosure"]] * len(cheap)
    others = sum(count for law, count in checks.items() if law not in cheap)
    assert 12 // EVERY <= others <= 12
    assert summary["checks"] == len(cheap) * 12 + others


def test_what_was_kept_is_not_done_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(false_alarms, "ROUND", 5)
    options = ["--path", "batch_grad", "--property", "enclosure", "--keep", str(tmp_path / "kept.jsonl")]
    rounds = []
    round_of = false_alarms.round_of
    monkeypatch.setattr(false_alarms, "round_of", lambda *job: rounds.append(job[0]) or round_of(*job))

    def summary(*more):
        rounds.clear()
        false_alarms.main([*options, *more])
        found = json.loads(capsys.readouterr().out)
        return {key: found[key] for key in ("networks", "checks", "verdicts")}

    first = summary("--networks", "10")
    assert rounds == ["0/0", "0/1"]
    assert summary("--networks", "10") == first
    assert rounds == []
    with (tmp_path / "kept.jsonl").open("a") as file:
        file.write('{"seed": "0/2", "cou')  # an interruption in the middle of a line
    assert summary("--checks", "12")["networks"] == 15
    assert rounds == ["0/2"]
    assert summary("--checks", "3")["networks"] == 5
    assert rounds == []
    summary("--networks", "10", "--seed", "1")
    assert rounds == ["1/0", "1/1"]
