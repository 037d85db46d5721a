"""A model in use, and what a path gives for it all the same."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from jaccheck import _history
from jaccheck._attributes import Attributes, kept
from jaccheck._errors import InvalidProblem
from jaccheck._problem import Problem, admit
from jaccheck._report import Verdict
from jaccheck._same import same
from jaccheck.judging.case import Case
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Run, Trial, called
from jaccheck.paths import Path
from jaccheck.properties._chance import chance
from jaccheck.properties._copies import copied, copied_from
from jaccheck.properties.determinism import difference
from jaccheck.properties.enclosure import Enclosure

GIVEN, SMALL = 32, 2**16
"""So many results are kept, of Jacobians of no more entries."""


class Stage:
    """A copy of a problem's model, to which things happen, and another one from which fresh models are made.

    Raises:
        InvalidProblem: the model can't be copied.
    """

    def __init__(self, problem: Problem, path: Path) -> None:
        self.problem, self.path = problem, path
        self.x = _alike(problem.x.detach())
        self.model, self._first = copied_from(problem), copied(problem.model)
        self.other: Stage | None = None
        """Another model, which is in use in turns with this one."""
        self.chance = chance(problem)
        self.left: list[str] = []
        """What calls have left behind: settings are put back, the model in use stays as it is."""
        self._x = self.x.clone()
        self._original = {name: t.clone() for name, t in self._first.state_dict().items()}
        self._fresh: Run | None = None
        self.last: dict[str, Any] | None = None
        """What the path gave in the last call, in the memory where the path put it."""
        self.kept: dict[str, Any] = {}
        """A copy of it."""
        self.given: deque[tuple[dict[str, Any], dict[str, Any]]] = deque(maxlen=GIVEN)
        """The same of the latest calls, whichever model they were for."""
        self.asks = 0
        """How often the enclosure may still be asked, which takes its time."""
        self.wrong: dict[Case, Verdict] = {}
        """Where it has said that a fresh model's result is wrong, too."""

    def call(self, model: nn.Module | None = None, x: Tensor | None = None) -> Run:
        """What the path gives for the model in use, or for another one, under whatever settings there are just now.

        The result is a copy: the path may use the memory again. What the model's own forward changes in its buffers is
        put back, so that the next call begins where this one did.
        """
        model, x = self.model if model is None else model, self.x if x is None else x
        with _buffers_kept(model), quietly() if self.extended() else nullcontext():
            run = called(self.path, self.problem, model, x)
        self.left += run.changes
        if isinstance(run.jacobian, Mapping):
            self.last, self.kept = dict(run.jacobian), _clones(run.jacobian)
            if self.problem.elements <= SMALL:
                self.given.append((self.last, self.kept))
            run = replace(run, jacobian=_clones(run.jacobian))
        return run

    def disowned(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The result of the last call, which the caller may do with as it likes, and a copy of what it was."""
        last, self.last = self.last or {}, None
        self.given = deque((pair for pair in self.given if pair[0] is not last), maxlen=GIVEN)
        return last, self.kept

    def another(self) -> Stage:
        """One of another model; what is left behind is known to both."""
        stage = Stage(self.problem, self.path)
        stage.left = self.left
        return stage

    def fresh_model(self) -> nn.Module:
        """Another model with the parameters, buffers, modes and numbers of the one in use, and nothing else of it."""
        model = copied(self._first).to(next(self.model.parameters()).dtype)
        theirs, others = _named(self.model), dict(self.model.named_modules())
        with torch.no_grad():
            for name, ours in _named(model).items():
                if name in theirs:  # what a path has added, or taken away, isn't the user's
                    ours.copy_(theirs[name])
                    ours.requires_grad_(theirs[name].requires_grad)
        for name, mine in model.named_modules():
            if name in others:
                mine.training = others[name].training
                for key, value in vars(others[name]).items():
                    if type(value) in (int, float) and key in vars(mine) and vars(mine)[key] != value:
                        setattr(mine, key, value)
        return model

    def fresh(self) -> Run:
        """What the path gives for a fresh model, and a fresh input."""
        if self._fresh is None:
            self._fresh = self._called_afresh(self.x)
        return self._fresh

    def _called_afresh(self, x: Tensor, model: nn.Module | None = None) -> Run:
        """A call for a fresh model, which isn't the last one of the model in use."""
        last, kept = self.last, self.kept
        run = self.call(self.fresh_model() if model is None else model, _alike(x))
        self.last, self.kept = last, kept
        return run

    def is_as_fresh(self) -> bool:
        """Whether the model in use gives the output of a fresh one."""
        outputs = []
        for model in (self.model, self.fresh_model()):
            with torch.no_grad(), self.problem.chance(), kept(map(Attributes, model.modules())), _buffers_kept(model):
                outputs.append(model(self.x))
        return bool(same(*outputs).all())

    def changed(self) -> None:
        """The parameters, buffers or modes, or the input, aren't what they were."""
        self._fresh = None

    def original(self) -> None:
        """Parameters, buffers and the input get the values they had at first."""
        self.model.load_state_dict(self._original)
        if not same(self.x, self._x).all():
            self.x.copy_(self._x)
        self.changed()

    def apart(self, run: Run, here: str) -> str | None:
        """In words, how `run`, of what came up `here`, differs from what the path gives for a fresh model."""
        if run.unsupported is not None and self.extended():
            return None  # what a user's hooks may be, BackPACK's among them, a path may refuse
        return self._difference(run, self.fresh(), here, self.x)

    def compared(
        self, here: str, x: Tensor | None = None, *, fresh: nn.Module | None = None, asked: bool = True
    ) -> str | None:
        """As `apart`, of a call for the model as it is for a while, frozen, say, which a fresh one then is, too.

        A path may be wrong for both alike: whether it is, the enclosure says, if `asked`, as far as it still may be.
        """
        x = self.x if x is None else x
        run, expected = self.call(x=x), self._called_afresh(x, fresh)
        if run.unsupported is not None and (self.extended() or expected.unsupported is not None):
            return None  # as it is for a while, a path may refuse it
        apart = self._difference(run, expected, here, x, fresh)
        if asked and apart is None and run.raised is None and self.asks and not self.extended():
            self.asks -= 1
            self._ask(run, here, x, fresh)
        return apart

    def _ask(self, run: Run, here: str, x: Tensor, fresh: nn.Module | None) -> None:
        """Note it if what came out lies outside the enclosure of a fresh model."""
        try:
            problem = admit(self.fresh_model() if fresh is None else fresh, _alike(x), seed=self.problem.seed)
        except InvalidProblem:
            return
        trial = Trial(problem, self.path, Judge(problem))
        trial.run = run
        found = Enclosure().judge(trial)
        if found.kind == "value":
            why = "" if found.reason is None else f": {found.reason}"
            reason = f"{here}, and for a fresh model, too{why}"
            self.wrong[Case(problem)] = replace(found, property="sequence", reason=reason)

    def _difference(self, run: Run, expected: Run, here: str, x: Tensor, fresh: nn.Module | None = None) -> str | None:
        """Between `run` and what is `expected` of a fresh model; if need be, of one that BackPACK has extended as well.

        Its hooks change in which order autograd sums gradients up, so that the last bits may be others. Whether a path
        is right on a model with hooks, the enclosure says once all steps are done.
        """
        found = difference(run, expected, here, "for a fresh model")
        if found is None or not self.extended():
            return found
        model = self.fresh_model() if fresh is None else fresh
        _history.extend(model)
        return difference(run, self._called_afresh(x, model), here, "for a fresh model that is extended, too")

    def overwritten(
        self, since: str, last: dict[str, Any] | None = None, kept: dict[str, Any] | None = None
    ) -> str | None:
        """In words, how a result, by default that of the last call, isn't any more what it was when it was given."""
        last, kept = (self.last, self.kept) if kept is None else (last, kept)
        if last is None:
            return None
        return difference(Run(kept), Run(last), "when it was given", f"{since}, in the same tensor")

    def any_overwritten(self, since: str) -> str | None:
        """As `overwritten`, of the latest results."""
        return next(filter(None, (self.overwritten(since, *pair) for pair in self.given)), None)

    def extended(self) -> bool:
        return any("_backpack_extend" in vars(module) for module in self.model.modules())


@contextmanager
def quietly() -> Iterator[None]:
    """Not a word on hooks of the user's, or of BackPACK's: it is no path that makes torch speak of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing when gradients are computed")
        yield


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """What there is of buffers is afterwards as it was; what has come to them stays."""
    plain = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
    places = [(module._buffers, module._buffers.copy()) for module in plain]
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for now, before in places:
            now.update(before)
        with torch.inference_mode(False), torch.no_grad():
            for buffer, value in values:
                if buffer.shape == value.shape and not same(buffer, value).all():
                    buffer.copy_(value)


def _alike(x: Tensor) -> Tensor:
    """A copy of its own, if that has the same strides; else `x` itself."""
    return x.clone() if x.is_contiguous() and not x.is_neg() else x


def _named(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _clones(jacobian: Mapping[str, Any]) -> dict[str, Any]:
    return {name: j.clone() if isinstance(j, Tensor) else j for name, j in jacobian.items()}
