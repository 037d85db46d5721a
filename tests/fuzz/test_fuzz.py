"""Fuzzing finds what is planted, stays with it while it shrinks, stops on time, and counts what it does."""

import signal
import threading
import time
import warnings
from collections import Counter
from dataclasses import replace

import pytest
from torch import nn

import jaccheck.fuzz.chasing
import jaccheck.fuzz.checking
import jaccheck.fuzz.drawing
import jaccheck.fuzz.plan
import jaccheck.fuzz.turns
from jaccheck._activations import CORE
from jaccheck._errors import InvalidProblem
from jaccheck._finding import CRASH, Failure, Finding
from jaccheck._layers import Activation, Dropout, Linear
from jaccheck._network import Network
from jaccheck.defects.known import looked_up
from jaccheck.defects.register import register
from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.checking import Asked, found_on
from jaccheck.fuzz.drawing import used
from jaccheck.fuzz.once import warned_once
from jaccheck.fuzz.plan import Plan
from jaccheck.fuzz.turns import EVERY, LONGER, TURNS, turn
from tests.defects.showing import network_of
from tests.planted import doubled, doubled_behind_tanh, leaving_gradients, planted

PLAN = Plan(
    seed=11,
    paths=("batch_grad",),
    properties=("enclosure", "state"),
    dtypes=("float32",),
    devices=("cpu",),
    examples=100,
)


def run(plan: Plan = PLAN, **changes):
    return Campaign(replace(plan, **changes)).run()


def test_a_right_path_has_no_failure_and_every_verdict_is_counted():
    seen = []
    plan = replace(PLAN, paths=("batch_grad", "vmap_jacrev"), examples=50)
    summary = Campaign(plan, watch=lambda summary: seen.append(summary.networks)).run()
    assert summary.ok
    assert summary.findings == []
    assert summary.stopped == "examples"
    assert summary.networks == 50
    assert seen == sorted(seen)
    assert len(seen) >= 50
    assert summary.checks == 100 - 2 * summary.refused.total()
    for path in plan.paths:
        assert sum(summary.verdicts[path].values()) == 50 - summary.refused.total()
        assert summary.verdicts[path]["agrees"] > 25
        assert 0 <= summary.vacuous[path] < summary.elements[path]


def test_a_planted_fault_is_found_and_shrunk_to_the_smallest_network_that_shows_it():
    with planted(doubled_behind_tanh) as path:
        summary = run(paths=("batch_grad", path), examples=1000)
    (finding,) = summary.findings
    assert not summary.ok
    assert summary.stopped == "finding"
    assert finding.failure == Failure(path, "enclosure", "value")
    assert (finding.unfinished, finding.reproducible) == (False, True)
    assert finding.report.verdicts["batch_grad"].status == "agrees"
    network = finding.network
    assert [type(layer).__name__ for layer in network.layers].count("Linear") <= 2
    assert len(network.layers) <= 3
    assert (network.batch, network.outputs, network.inputs, network.dtype) == (1, 1, (1,), "float32")
    assert network.parameters <= 4
    assert summary.shrinking > 0


def test_shrinking_stays_with_the_failure_that_it_began_with():
    """On several samples the path raises, on one it gives wrong values: with fewer of them it slips to that."""

    def fault(model, x, J):
        if len(x) > 1:
            raise ArithmeticError("several samples are too many")
        return doubled(model, x, J) if x.numel() > 1 else J

    kinds = set()
    with planted(fault) as path:
        for seed in (37, 11, *range(3, 40)):  # 37 and 11 begin with one of them each
            if len(kinds) == 2:
                break
            (finding,) = run(paths=(path,), seed=seed).findings
            kinds.add(finding.failure.kind)
            assert finding.failure.path == path
            assert finding.report.verdicts[path].kind == finding.failure.kind
            assert finding.network.batch == (2 if finding.failure.kind == "raised" else 1)
    assert kinds == {"raised", "value"}


@pytest.mark.long
def test_going_on_finds_each_failure_once_and_counts_the_rest():
    def fault(model, x, J):
        return leaving_gradients(model, x, doubled_behind_tanh(model, x, J))

    with planted(fault) as path:
        summary = run(paths=(path,), keep_going=True, examples=40, seed=3)
    found = [finding.failure for finding in summary.findings]
    assert set(found) == {Failure(path, "state", "state"), Failure(path, "enclosure", "value")}
    assert len(found) == 2
    assert summary.stopped == "examples"
    assert summary.networks == 40
    assert summary.again[Failure(path, "state", "state")] > 30
    assert 0 < summary.again[Failure(path, "enclosure", "value")] < 15


def test_what_else_the_first_network_that_fails_shows_is_found_and_made_small_too():
    def fault(model, x, J):
        return leaving_gradients(model, x, doubled(model, x, J))

    with planted(fault) as path:
        summary = run(paths=(path,), examples=1000)
    assert summary.stopped == "finding"
    assert {finding.failure.property for finding in summary.findings} == {"state", "enclosure"}
    assert not any(finding.unfinished for finding in summary.findings)


@pytest.mark.long
def test_two_faults_of_a_path_that_look_different_are_two_findings_and_each_is_counted():
    """Behind a Tanh the Jacobian is doubled; elsewhere, that of a square layer is transposed."""

    def fault(model, x, J):
        if any(isinstance(m, nn.Tanh) for m in model.modules()):
            return {name: 2 * j for name, j in J.items()}
        return {name: j.mT if j.dim() == 4 and j.shape[2] == j.shape[3] > 1 else j for name, j in J.items()}

    with planted(fault) as path:
        summary = run(paths=(path,), properties=("enclosure",), keep_going=True, examples=30, seed=3)
    assert sorted(finding.family for finding in summary.findings) == ["moved", "scaled"]
    assert {finding.failure[:3] for finding in summary.findings} == {(path, "enclosure", "value")}
    assert len({finding.file_name for finding in summary.findings}) == 2
    assert all(summary.again[finding.failure] > 0 for finding in summary.findings)
    assert all(finding.network.parameters <= 8 for finding in summary.findings)


def drawn(**changes) -> list[str]:
    networks = []

    def note(model, x, J):
        networks.append((str(model), x.tolist()))
        return J

    with planted(note, "noted") as path:
        run(paths=(path,), properties=("enclosure",), **changes)
    return [str(network) for network in networks]


def test_the_same_seed_gives_the_same_networks_and_another_one_others():
    first = drawn(seed=5, examples=20)
    assert len(first) >= 15
    assert drawn(seed=5, examples=20) == first
    assert drawn(seed=6, examples=20) != first


def test_rounds_draw_different_networks(monkeypatch):
    monkeypatch.setattr(jaccheck.fuzz.plan, "ROUND", 10)
    networks = drawn(examples=40, seed=1)
    assert len(networks) >= 35
    assert len(set(networks)) > 20


def slow_on_two_samples(model, x, J):
    time.sleep(0.2)
    return doubled(model, x, J) if len(x) > 1 else J


def test_the_time_is_kept_also_while_shrinking():
    with planted(slow_on_two_samples) as path:
        start = time.monotonic()
        summary = run(paths=(path,), properties=("enclosure",), examples=None, seconds=3.0)
        assert time.monotonic() - start < 10.0  # all of the shrinking takes more than a hundred calls
    (finding,) = summary.findings
    assert finding.unfinished
    assert finding.report.verdicts[path].kind == "value"
    assert summary.shrinking < 25


def test_without_a_failure_the_time_is_kept_too():
    start = time.monotonic()
    summary = run(examples=None, seconds=0.5)
    assert 0.5 <= time.monotonic() - start < 10  # without, it would never end
    assert summary.stopped == "seconds"
    assert summary.networks


def test_shrinking_one_failure_has_its_own_limit(monkeypatch):
    monkeypatch.setattr(jaccheck.fuzz.chasing, "SHRINKING", 0.2)

    with planted(slow_on_two_samples) as path:
        summary = run(paths=(path,), properties=("enclosure",), keep_going=True, examples=8)
    (finding,) = summary.findings
    assert finding.unfinished
    assert summary.stopped == "examples"
    assert summary.networks == 8


@pytest.mark.parametrize("at", [1, 30])
def test_an_interruption_ends_in_what_was_done_and_found(at):
    calls = []

    def interrupted(model, x, J):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return doubled_behind_tanh(model, x, J)

    with planted(interrupted) as path:
        summary = run(paths=(path,), properties=("enclosure",), examples=1000, keep_going=True)
    assert summary.stopped == "interrupted"
    assert summary.networks + summary.shrinking >= at // 2
    assert all(finding.unfinished for finding in summary.findings[-1:])


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
@pytest.mark.parametrize("times", [1, 2])
def test_the_first_ctrl_c_waits_for_the_network_and_the_second_does_not(times):
    finished = []

    def interrupted(model, x, J):
        for _ in range(times if len(finished) == 10 else 0):
            signal.raise_signal(signal.SIGINT)
        finished.append(1)
        return J

    handler = signal.getsignal(signal.SIGINT)
    with planted(interrupted) as path:
        summary = run(paths=(path,), properties=("state",), examples=100)
    assert summary.stopped == "interrupted"
    called = summary.networks - summary.verdicts[path]["unsupported"]
    assert len(finished) == called == (11 if times == 1 else 10)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_failure_that_comes_and_goes_is_reported_as_one():
    struck = []

    def flaky(model, x, J):
        if not struck and all(0.1 < j.abs().max() < 10 for j in J.values() if j.numel()):
            struck.append(1)
            return doubled(model, x, J)
        return J

    with planted(flaky) as path:
        summary = run(paths=(path,), properties=("enclosure",))
    (finding,) = summary.findings
    assert not finding.reproducible
    assert finding.failure == Failure(path, "enclosure", "value")


def test_a_fault_of_our_own_is_a_finding(monkeypatch):
    def broken(network, paths, properties, **options):
        raise KeyError("oracle")

    monkeypatch.setattr(jaccheck.fuzz.checking, "looked_up", broken)
    summary = run()
    (finding,) = summary.findings
    assert finding.failure == Failure(CRASH, CRASH, "KeyError")
    assert "in broken" in finding.crash
    assert "KeyError: 'oracle'" in finding.crash


def test_networks_that_are_refused_are_counted_by_the_reason(monkeypatch):
    def refusing(network, paths, properties, **options):
        raise InvalidProblem("not this one")

    monkeypatch.setattr(jaccheck.fuzz.checking, "looked_up", refusing)
    summary = run(examples=20)
    assert summary.networks == 20
    assert summary.refused == {"not this one": 20}
    assert summary.checks == 0


def test_known_defects_are_counted_and_no_findings_unless_asked_for(monkeypatch):
    monkeypatch.setattr(jaccheck.fuzz.chasing, "SHRINKING", 0.5)
    plan = replace(PLAN, paths=("autograd",), properties=("enclosure",), seed=2, examples=20)
    summary = run(plan)
    assert summary.ok
    assert summary.known["autograd-other-sample-not-finite"] > 0
    assert summary.verdicts["autograd"]["known"] >= summary.known["autograd-other-sample-not-finite"]
    assert summary.verdicts["autograd"]["disagrees"] == 0
    (finding,) = run(plan, known=False).findings
    assert finding.failure == Failure("autograd", "enclosure", "value")


def test_earlier_failures_are_tried_first(tmp_path):
    def fault(model, x, J):
        return leaving_gradients(model, x, J) if len(x) > 1 else doubled(model, x, J)

    with planted(fault) as path:
        plan = replace(PLAN, paths=(path,), database=str(tmp_path), examples=20, keep_going=True)
        first = run(plan)
        again = run(plan, seed=2)
    assert {finding.failure.kind for finding in first.findings} == {"state", "value"}
    assert {finding.network for finding in again.findings} == {finding.network for finding in first.findings}


def test_without_that_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with planted(doubled) as path:
        run(paths=(path,), folder=tmp_path / "failures")
    assert list(tmp_path.iterdir()) == []


def test_only_the_chosen_dtypes_are_drawn():
    dtypes = set()

    def note(model, x, J):
        dtypes.add(str(x.dtype))
        return J

    with planted(note) as path:
        run(paths=(path,), dtypes=("float16", "bfloat16"), examples=50)
    assert dtypes == {"torch.float16", "torch.bfloat16"}


COSTLY = ("batching", "layout", "sequence")
SMALL = used(Network((Linear(2), Activation("Identity"))))


def test_each_network_is_asked_the_cheap_properties_and_every_fourth_one_of_the_others_in_turn(monkeypatch):
    asked = []

    def note(network, paths, properties, **options):
        asked.append(properties)
        return looked_up(network, paths, properties, **options)

    monkeypatch.setattr(jaccheck.fuzz.checking, "looked_up", note)
    monkeypatch.setattr(jaccheck.fuzz.turns, "TURNS", {"sequence": 2, "batching": 1, "layout": 1})
    monkeypatch.setattr(jaccheck.fuzz.turns, "ONLY", {})
    summary = run(paths=("vmap_jacrev",), properties=("enclosure", *COSTLY, "state"), examples=24)
    cheap = ("enclosure", "state")
    turns = ("sequence", *COSTLY)
    assert asked == [law for name in (*turns, *turns[:2]) for law in (cheap, (name,), cheap, cheap, cheap)]
    assert set(summary.spent) == {"enclosure, state", *COSTLY}
    assert sum(summary.spent.values()) <= summary.seconds
    assert summary.checks == 24


def test_in_a_given_time_each_of_the_costly_properties_gets_the_same_share(monkeypatch):
    turns = []

    def noted(properties, seconds, statuses):
        turns.append(seconds)
        return Asked(properties, seconds, statuses)

    monkeypatch.setattr(jaccheck.fuzz.checking, "Asked", noted)
    monkeypatch.setattr(jaccheck.fuzz.drawing, "FEW", -1)  # all steps would take most of the time
    monkeypatch.setattr(jaccheck.fuzz.turns, "ONLY", {})
    summary = run(paths=("vmap_jacrev",), properties=("enclosure", *COSTLY), examples=None, seconds=2.0)
    shares = [summary.spent[name] for name in COSTLY]
    assert max(shares) <= 2 * min(shares) + max(0.3, *turns)  # no turn is cut short


def costly(network, count=EVERY * 8, **options):
    """The properties of `count` turns but for the cheap ones."""
    laws = ("enclosure", "every_input", "sizes", "layout", "sequence", "forms")
    plan = replace(PLAN, properties=laws, **options)
    spent = {"enclosure": 9.0, "layout": 1.0, "every_input": 2.0, "forms": 3.0, "sizes": 4.0}
    turns = [turn(plan, index, network, spent) for index in range(count)]
    assert all(laws[0] == ("enclosure",) for laws in turns)
    return [law for laws in turns for (law,) in laws[1:]]


def test_each_of_the_others_has_its_turns_in_a_round():
    laws = {law: TURNS[law] for law in ("every_input", "sizes", "layout", "sequence", "forms")}
    found = costly(SMALL, EVERY * sum(laws.values()))
    assert Counter(found) == laws
    half = Counter(found[: len(found) // 2])
    assert half == {law: pytest.approx(turns / 2, abs=1) for law, turns in laws.items()}
    assert set(found[: len(laws)]) == laws.keys()
    assert costly(SMALL, examples=None) == ["sequence"] * 8


def test_networks_of_which_one_property_asks_what_no_other_does_are_asked_that_more_often():
    """Several activations, at their every input and between sizes; forms that need chance; all that may happen."""
    several = used(Network((*map(Activation, CORE), Linear(2))))
    dropped = used(Network((Linear(2), Dropout(0.5)), training=True))
    bent = used(Network((Linear(2), Activation("Tanh"))))
    for examples in (PLAN.examples, None):
        for one, law in (
            (several, "every_input"),
            (several, "sizes"),
            (dropped, "forms"),
            (bent, "sequence"),
        ):
            count = [costly(network, EVERY * 32, examples=examples).count(law) for network in (one, SMALL)]
            assert count[0] >= 8, law
            assert count[0] > count[1], law


def test_in_a_given_time_the_costly_properties_take_no_more_than_a_few_times_what_the_cheap_ones_take():
    plan = replace(PLAN, properties=("enclosure", "state", "layout", "sizes"), examples=None)
    cheap = ("enclosure", "state")
    begun = {"enclosure, state": 1.0, "sizes": float(LONGER)}
    assert turn(plan, 0, SMALL, {}) == [cheap, ("layout",)]  # which takes less
    assert turn(plan, 0, SMALL, begun) == [cheap, ("layout",)]
    assert turn(plan, 0, SMALL, begun | {"layout": 0.1}) == [cheap]
    assert turn(replace(plan, examples=100), 0, SMALL, begun | {"layout": 0.1})[1:]


def test_while_shrinking_only_the_path_and_the_property_that_fail_are_asked(monkeypatch):
    asked = []

    def note(network, paths, properties, **options):
        asked.append((paths, properties))
        return looked_up(network, paths, properties, **options)

    monkeypatch.setattr(jaccheck.fuzz.checking, "looked_up", note)
    with planted(doubled_behind_tanh) as path:
        summary = run(paths=("batch_grad", path))
    assert asked.count(((path,), ("enclosure",))) == summary.shrinking
    assert asked[-1] == (("batch_grad", path), ("enclosure",))
    assert list(summary.findings[0].report.verdicts) == [path, "batch_grad"]


def test_a_finding_outlives_its_pictures(monkeypatch):
    def broken(plan, network, paths, properties, **options):
        raise KeyError("picture")

    monkeypatch.setattr(jaccheck.fuzz.chasing, "asked", broken)
    with planted(doubled_behind_tanh) as path:
        (finding,) = run(paths=("batch_grad", path), properties=("enclosure",)).findings
    assert finding.failure == Failure(path, "enclosure", "value")
    assert not finding.unfinished
    assert finding.report.verdicts[path].status == "disagrees"


def test_the_report_on_a_small_network_names_the_other_paths_known_defects():
    network = network_of(next(defect for defect in register() if defect.id == "hardsigmoid-float64"))
    with planted(doubled) as path:
        plan = replace(PLAN, paths=("autograd", path), properties=("enclosure",), dtypes=("float64",))
        (finding,) = found_on(plan, network, plan.paths, plan.properties).values()
        report = jaccheck.fuzz.chasing._whole(plan, finding, plan.properties)
    assert report.verdicts[path].status == report.verdicts["autograd"].status == "disagrees"
    assert report.verdicts["autograd"].reason == "known: hardsigmoid-float64"


def test_each_warning_is_shown_once_though_its_filters_are_put_back(monkeypatch):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *warned: shown.append(str(warned[0])))

    def warning(model, x, J):
        warnings.warn("seldom heard", stacklevel=1)
        return J

    with planted(warning) as path, warnings.catch_warnings(), warned_once():
        warnings.simplefilter("default")
        summary = run(paths=(path, "vmap_jacrev"), examples=5)
        with warnings.catch_warnings(record=True) as collected:
            warnings.simplefilter("always")
            warnings.warn("seldom heard", stacklevel=1)
    assert summary.ok
    assert shown == ["seldom heard"]
    assert len(collected) == 1


def test_a_finding_shows_again_from_its_file(tmp_path):
    with planted(doubled) as path:
        (finding,) = run(paths=(path,)).findings
        file = finding.save(tmp_path)
        again = Finding.from_json(file.read_text())
        assert again == finding
        assert isinstance(again.network, Network)
