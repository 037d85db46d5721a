"""Records of what paths give, and what a comparison makes of two of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck.cli import main
from jaccheck.paths import _loaded, get
from jaccheck.upgrade import networks as fixed
from jaccheck.upgrade.compare import compare
from jaccheck.upgrade.reading import read
from jaccheck.upgrade.record import MANIFEST, NUMBERS, record, reserved
from jaccheck.upgrade.text import text
from tests.documented import assert_documented

PATHS = ("autograd", "batch_grad", "vmap_jacrev")
EVERY = fixed.networks


def networks(device: str = "cpu"):
    chosen = ("float64 ELU", "float32 Tanh", "bfloat16 ReLU", "float64 CELU")
    every = EVERY(device)
    return {name: every[name] for name in chosen}


@pytest.fixture(scope="module")
def kept():
    return record(networks(), PATHS)


@pytest.fixture
def folder(kept, tmp_path):
    with reserved(tmp_path / "kept") as write:
        write(kept)
    return tmp_path / "kept"


class Changed:
    """A path that gives what another does, changed."""

    def __init__(self, path, change):
        self.name, self.path, self.change = path.name, path, change

    def jacobian(self, model, x):
        return self.change(self.path.jacobian(model, x))


def with_autograd(monkeypatch, change):
    """A record in which autograd's Jacobians are changed."""
    monkeypatch.setitem(_loaded, "autograd", Changed(get("autograd"), change))
    return record(networks(), PATHS)


def first(change):
    """Change the first entry of the first parameter."""

    def changed(jacobian):
        j = next(iter(jacobian.values()))
        j.view(-1)[0] = change(j.view(-1)[0])
        return jacobian

    return changed


def next_number(t):
    return torch.nextafter(t.double(), t.double() + 1).to(t.dtype) if t.dtype == torch.float64 else t


def test_the_networks_are_fixed_and_cover_every_activation_in_every_dtype():
    every = fixed.networks()
    assert len(every) == 4 * 26
    assert all(Network.from_json(network.to_json()) == network for network in every.values())
    assert {network.device for network in fixed.networks("cuda:0").values()} == {"cuda:0"}
    assert len(set(every.values())) == len(every)


def test_a_record_read_again_is_the_same(kept, folder):
    again = read(folder)
    assert again.versions == kept.versions
    assert again.machine == kept.machine
    for name, found in kept.networks.items():
        other = again.networks[name]
        assert (other.network, other.report) == (found.network, found.report)
        for path in PATHS:
            for parameter, j in found.jacobians[path].items():
                assert torch.equal(j, other.jacobians[path][parameter])
                assert torch.equal(found.enclosures[path][parameter].radius, other.enclosures[path][parameter].radius)
    comparison = compare(kept, again)
    assert comparison.ok
    assert not any(change.changed for change in comparison.changes)
    assert "0 of 12 Jacobians changed." in text(comparison)


def test_it_takes_little_room(folder):
    assert sum(file.stat().st_size for file in folder.iterdir()) < 100_000


def test_a_change_by_an_ulp_lies_in_the_enclosure(kept, monkeypatch):
    comparison = compare(kept, with_autograd(monkeypatch, first(next_number)))
    moved = [change for change in comparison.changes if change.changed]
    assert {change.path for change in moved} == {"autograd"}
    assert {change.network for change in moved} == {"float64 ELU", "float64 CELU"}
    assert all(change.ulps == 1 and 0 < change.radii < 1 for change in moved)
    assert comparison.ok
    assert "the enclosure holds all that did, before and after" in text(comparison)


def test_a_known_defect_that_stays_as_it_is_is_no_change(kept):
    assert kept.networks["float64 CELU"].report.verdicts["autograd"].status in ("agrees", "disagrees")
    assert compare(kept, kept).ok


@pytest.mark.parametrize("wrong", ["before", "after"])
def test_a_change_beyond_the_enclosure_is_one_on_either_side(kept, monkeypatch, wrong):
    other = with_autograd(monkeypatch, first(lambda t: t + 1))
    comparison = compare(other, kept) if wrong == "before" else compare(kept, other)
    assert not comparison.ok
    beyond = [change for change in comparison.changes if change.beyond]
    assert {(change.path, change.network) for change in beyond} == {("autograd", name) for name in networks()}
    for change in beyond:
        outside = {"before": change.outside_before, "after": change.outside_after}
        assert outside[wrong] == 1
        assert change.place.before != change.place.after
    said = text(comparison)
    assert "beyond    autograd on float64 ELU" in said
    assert "4 beyond the enclosure" in said


def test_the_place_is_that_of_the_largest_change_where_there_is_no_enclosure(kept, monkeypatch):
    def more_for_each_before(jacobian):  # of the first parameter most
        return {name: j + 100.0 / (1 + i) for i, (name, j) in enumerate(jacobian.items())}

    other = with_autograd(monkeypatch, more_for_each_before)
    bare = {name: replace(found, enclosures={}) for name, found in other.networks.items()}
    for change in compare(kept, replace(other, networks=bare)).changes:
        if change.changed:
            assert change.place.parameter == next(iter(kept.networks[change.network].jacobians["autograd"]))
            assert (change.radii, change.place.radius) == (0, None)


def test_agreement_that_ends_without_a_value_is_beyond(kept, monkeypatch):
    def left_out(jacobian):
        return dict(list(jacobian.items())[1:])

    other = with_autograd(monkeypatch, left_out)
    comparison = compare(kept, other)
    assert not comparison.ok
    assert {change.after for change in comparison.changes if change.path == "autograd"} == {"disagrees"}
    turned = {c.before == "agrees" for c in comparison.changes if c.beyond}
    assert turned == {True}
    assert compare(other, kept).ok  # mended


def test_a_path_that_one_side_has_alone_is_left_out(kept):
    other = record(networks(), ("autograd", "autograd_batched"))
    comparison = compare(kept, other)
    assert comparison.left_out == ("batch_grad", "vmap_jacrev", "autograd_batched")
    assert {change.path for change in comparison.changes} == {"autograd"}
    with pytest.raises(InvalidProblem, match="no path in common"):
        compare(record(networks(), ("batch_grad",)), other)


def test_records_of_other_networks_do_not_match(kept):
    fewer = replace(kept, networks=dict(list(kept.networks.items())[1:]))
    name, found = next(iter(kept.networks.items()))
    another = replace(kept, networks={**kept.networks, name: replace(found, network=replace(found.network, batch=2))})
    for other in (fewer, another):
        with pytest.raises(InvalidProblem, match=r"other networks \(float64 ELU\)"):
            compare(kept, other)


def test_a_folder_in_use_is_refused_and_left_as_it_is(folder, kept, tmp_path):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(InvalidProblem, match="in use"), reserved(folder):
        pass
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InvalidProblem, match=r"in use|can't write"), reserved(file):
        pass
    with reserved(tmp_path / "another"), pytest.raises(InvalidProblem, match="in use"), reserved(tmp_path / "another"):
        pass  # two at once


def test_an_interrupt_leaves_no_half_record(tmp_path):
    with pytest.raises(KeyboardInterrupt), reserved(tmp_path / "new"):
        raise KeyboardInterrupt
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyboardInterrupt), reserved(tmp_path / "empty"):
        raise KeyboardInterrupt
    assert list((tmp_path / "empty").iterdir()) == []


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(bytes(data))


def without(name):
    def change(file):
        data = json.loads(file.read_text())
        del data[name]
        file.write_text(json.dumps(data))

    return change


def of_format_9(file):
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 9}))


def with_other_numbers(file):
    torch.save({"something": torch.ones(2)}, file)


DAMAGES = {
    "numbers cut": (NUMBERS, cut, "damaged: jacobians.pt"),
    "a bit flipped": (NUMBERS, flipped, "damaged: jacobians.pt"),
    "other numbers": (NUMBERS, with_other_numbers, "damaged: KeyError"),
    "no zip at all": (NUMBERS, lambda file: file.write_bytes(b"mine"), "damaged: jacobians.pt"),
    "no numbers": (NUMBERS, lambda file: file.unlink(), "can't read"),
    "manifest cut": (MANIFEST, cut, "damaged: record.json is no JSON"),
    "a list": (MANIFEST, lambda file: file.write_text("[]"), "has no format"),
    "no problems": (MANIFEST, without("problems"), "damaged: KeyError: 'problems'"),
    "another format": (MANIFEST, of_format_9, "has format 9, but this jaccheck reads 1"),
    "no manifest": (MANIFEST, lambda file: file.unlink(), "holds no record"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_one_line_and_status_2(folder, damage, capsys):
    name, change, said = DAMAGES[damage]
    change(folder / name)
    assert main(["compare", str(folder), str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fixed, "networks", networks)
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert main(["record", old, "--path", "autograd", "--path", "batch_grad"]) == 0
    assert "4 networks by 2 paths" in capsys.readouterr().out
    assert main(["record", old]) == 2
    assert "is in use" in capsys.readouterr().err
    monkeypatch.setitem(_loaded, "autograd", Changed(get("autograd"), first(lambda t: t + 1)))
    assert main(["record", new, "--path", "autograd", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["networks"], data["paths"], data["verdicts"]) == (4, ["autograd"], {"disagrees": 4})
    assert_documented("record", data)
    assert main(["compare", old, old]) == 0
    capsys.readouterr()
    assert main(["compare", old, new, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is False
    assert data["left_out"] == ["batch_grad"]
    assert_documented("compare", data)
    assert [change["beyond"] for change in data["changes"]] == [True] * 4
    assert data["after"]["versions"]["torch"] == torch.__version__
    assert main(["record", str(tmp_path / "x"), "--path", "autogrd"]) == 2
    assert not (tmp_path / "x").exists()
    assert main(["compare", old, str(tmp_path / "nowhere")]) == 2
    assert main(["record", str(tmp_path / "x"), "--device", "tpu"]) == 2
