"""The bank of faults: what is in it, and that each goes in and comes out again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jaccheck import InvalidProblem, jacobian, paths
from jaccheck.paths import DEFAULT
from jaccheck.selftest.fault import BASE, Fault
from jaccheck.selftest.faults import bank, families
from jaccheck.selftest.score import chosen
from tests.test_tables import files

LEAST = 150


def test_there_are_enough_faults_that_can_be_seen():
    assert sum(fault.equivalent is None for fault in bank().values()) >= LEAST


def test_each_file_is_a_family_and_each_family_a_file():
    assert set(families()) == files("selftest/faults")


def test_each_fault_says_what_is_wrong_in_words_of_its_own():
    words = [(fault.family, fault.words) for fault in bank().values()]
    assert len(set(words)) == len(words)
    assert all(fault.words for fault in bank().values())


def test_no_fault_is_called_as_a_path():
    assert not set(bank()) & {*paths(), "right"}


def results() -> list[torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(3, 5, dtype=torch.float64)
    layers = [nn.Linear(5, 17), nn.Tanh(), nn.Linear(17, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.ReLU(), nn.ELU()]
    model = nn.Sequential(*layers, nn.LeakyReLU(), nn.LogSigmoid(), nn.SELU()).double()
    return [model(x).detach(), *(j for path in DEFAULT for j in jacobian(model, x, path).values())]


@pytest.mark.parametrize("family", families())
def test_what_is_put_in_comes_out_again(family):
    before, names = results(), paths()
    for fault in bank().values():
        if fault.family == family:
            with fault.inject():
                assert not fault.own_path or fault.name in paths()
    assert paths() == names
    assert all(map(torch.equal, results(), before))


@pytest.mark.parametrize("name", ["kernel_tanh_halved", "backpack_sigmoid_in_float16", "forward_linear_scaled"])
def test_what_is_put_in_below_the_paths_is_there(name):
    before = results()
    with bank()[name].inject():
        assert not all(map(torch.equal, results(), before))


@pytest.mark.parametrize("name", ["backpack_linear_each_fifth_call"])
def test_a_fault_that_counts_begins_anew_each_time(name):
    found = []
    for _ in range(2):
        with bank()[name].inject():
            found.append([t for _ in range(4) for t in results()])
    assert all(map(torch.equal, *found))


def test_what_is_interrupted_comes_out_as_well():
    before = results()
    with pytest.raises(KeyboardInterrupt), bank()["kernel_tanh_halved"].inject():
        raise KeyboardInterrupt
    assert all(map(torch.equal, results(), before))


def test_the_paths_that_are_asked_for_a_fault():
    assert bank()["sign"].paths == ("sign",)
    assert bank()["kernel_tanh_halved"].paths == ("autograd", "batch_grad")
    assert bank()["forward_linear_scaled"].paths == (BASE,)


def test_faults_are_chosen_by_name_and_family_and_number():
    assert [fault.name for fault in chosen(["sign", "noise"])] == ["noise", "sign"]
    assert {fault.family for fault in chosen(groups=["layout", "order"])} == {"layout", "order"}
    few = chosen(sample=30, seed=3)
    assert len(few) == 30
    assert [fault.name for fault in few] == [fault.name for fault in chosen(sample=30, seed=3)]
    assert [fault.name for fault in few] != [fault.name for fault in chosen(sample=30, seed=4)]
    assert chosen(sample=10**6) == chosen() == list(bank().values())


@pytest.mark.parametrize("names", [{"names": ["sing"]}, {"groups": ["sizes", "sise"]}])
def test_unknown_names_are_refused(names):
    says = r"there is no (fault|family) '(sing|sise)'; the families are .*; did you mean (.* or )?(sign|sizes)\b"
    with pytest.raises(InvalidProblem, match=says):
        chosen(**names)


def test_a_fault_is_plain_data():
    assert Fault("a", "b", bank()["sign"].inject, ("a",)).own_path
