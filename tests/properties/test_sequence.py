"""Any sequence of what may happen to a model leaves what a path gives for it as it is for a fresh one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from jaccheck import InvalidProblem, Network
from jaccheck._problem import admit
from jaccheck.paths import Path, get, paths
from jaccheck.properties._stage import STEPS, Stage
from jaccheck.properties.sequence import LENGTH, drawn
from jaccheck.selftest.faults import bank
from jaccheck.strategies import networks

NETWORKS = networks(max_outputs=6, max_width=5, max_depth=2, residual=True, containers=True, functional=True)


def machine(path: Path, **options: object) -> None:
    """Run sequences of steps on models of `NETWORKS`; AssertionError where `path` gives another result."""

    class Machine(RuleBasedStateMachine):
        @initialize(network=NETWORKS)
        def begin(self, network: Network) -> None:
            self.stages = [Stage(admit(*network.build()), path)]
            self.happened = ["another call"]
            self.stages[0].call()

        @rule(network=NETWORKS)
        def another_model(self, network: Network) -> None:
            """From here on the two take turns."""
            self.stages.append(Stage(admit(*network.build()), path))

        @rule(words=st.sampled_from(sorted(STEPS)))
        def happens(self, words: str) -> None:
            stage = self.stages.pop(0)
            self.stages.append(stage)
            with suppress(InvalidProblem):  # it can't happen to this model
                ran = STEPS[words](stage)
                assert ran is None or stage.apart(ran, f"in {words}") is None
            self.happened.append(words)
            assert stage.apart(stage.call(), f"after {', '.join(self.happened)}") is None

    run_state_machine_as_test(Machine, settings=settings(stateful_step_count=6, report_multiple_bugs=False, **options))


@pytest.mark.parametrize("name", paths())
def test_every_path_gives_what_it_gives_for_a_fresh_model(name):
    machine(get(name), max_examples=settings().max_examples // 2)


CAUGHT = (
    "second_call",
    "accumulates_over_calls",
    "kept_by_the_model",
    "broken_by_an_exception",
    "wrong_in_another_thread",
    "adds_what_grad_holds",
    "parameters_as_they_were",
)


@pytest.mark.parametrize("name", CAUGHT)
def test_the_machine_catches(name):
    with bank()[name].inject(), pytest.raises(AssertionError):
        machine(get(name), phases=[Phase.generate], derandomize=True, max_examples=500)


def test_the_same_problem_has_the_same_steps():
    steps = [drawn(admit(*Network.from_json(text).build())) for text in (ONE, ONE, OTHER)]
    assert steps[0] == steps[1] != steps[2]
    assert len(steps[0]) == LENGTH


ONE = '{"format": 1, "layers": [{"kind": "Linear"}], "x": {"numbers": [1]}}'
OTHER = '{"format": 1, "layers": [{"kind": "Linear"}], "x": {"numbers": [2]}}'
