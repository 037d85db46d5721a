"""Whatever happens to models in use: a state machine, for tests of a path by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from hypothesis.strategies import SearchStrategy

from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck._problem import admit
from jaccheck._steps import STEPS
from jaccheck.paths import Path
from jaccheck.properties._happenings import HAPPENINGS
from jaccheck.properties._stage import Stage


def machine(path: Path, networks: SearchStrategy[Network]) -> type[RuleBasedStateMachine]:
    """Models of some `networks`, in use in turns: after each step `path` has to give what it gives for a fresh model.

    For `hypothesis.stateful.run_state_machine_as_test`, or its ``TestCase``, which pytest collects.
    """

    class Machine(RuleBasedStateMachine):
        @initialize(network=networks)
        def begin(self, network: Network) -> None:
            self.stages = [Stage(admit(*network.build()), path)]
            self.happened = ["another call"]
            self.stages[0].call()

        @rule(network=networks)
        def another(self, network: Network) -> None:
            """From here on they take turns."""
            self.stages.append(Stage(admit(*network.build()), path))

        def happens(self, step: str) -> None:
            stage = self.stages.pop(0)
            self.stages.append(stage)
            apart = None
            with suppress(InvalidProblem):  # it can't happen to this model
                apart = HAPPENINGS[step](stage)
            stage.problem.before.restore()
            self.happened.append(STEPS[step])
            here = f"after {', '.join(self.happened)}"
            apart = apart or stage.overwritten(here)
            earlier = stage.last, stage.kept
            apart = apart or stage.apart(stage.call(), here) or stage.overwritten("in the next call", *earlier)
            assert apart is None, f"{path.name}: {apart}"
            assert not stage.left, f"{path.name}, {here}: {stage.left[0]}"

    # A rule for each, among which Hypothesis chooses evenly and shuns some at a time, as it does not among values.
    for step in STEPS:
        setattr(Machine, step, rule()(_happening(step)))

    return Machine


def _happening(step: str) -> Callable[[Any], None]:
    def happens(machine: Any) -> None:
        machine.happens(step)

    happens.__name__ = step
    return happens
