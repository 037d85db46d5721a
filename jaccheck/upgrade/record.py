"""What each path makes of the fixed networks, kept in a folder: numbers, enclosures and verdicts."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jaccheck._check import facts, versions
from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck._problem import admit
from jaccheck._report import Report, Verdict
from jaccheck._same import same
from jaccheck.enclosure import Ball, Oracle
from jaccheck.judging.judge import Judge
from jaccheck.judging.trial import Trial
from jaccheck.paths import Path as JacobianPath
from jaccheck.paths import get, rounding
from jaccheck.properties import DEFAULT, PROPERTIES

FORMAT = 1
MANIFEST, NUMBERS = "record.json", "jacobians.pt"

Jacobian = Mapping[str, Tensor]
"""By parameter, ``[N, C, *p.shape]``; a zero has no sign, since which it has is free."""
Enclosure = Mapping[str, Ball]


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was found of one network."""

    network: Network
    report: Report
    jacobians: Mapping[str, Jacobian]
    """By path; one that gave none of the right names and shapes has no entry."""
    enclosures: Mapping[str, Enclosure]
    """By path, as wide as it may round; none where there is no enclosure."""


@dataclass(frozen=True, eq=False)
class Record:
    """A folder's contents."""

    versions: Mapping[str, str]
    machine: Mapping[str, str]
    """What else a result's last bits depend on."""
    networks: Mapping[str, Recorded] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """Those that were recorded, in their order."""
        return tuple(dict.fromkeys(path for found in self.networks.values() for path in found.report.verdicts))


def machine() -> dict[str, str]:
    """The processor's kind, and the vector instructions that torch uses."""
    found = {"processor": platform.machine(), "vectors": torch.backends.cpu.get_cpu_capability()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_device_name()
    return found


def record(
    networks: Mapping[str, Network], paths: Sequence[str], watch: Callable[[int], None] = lambda done: None
) -> Record:
    """Compute and judge each network's Jacobian by each of `paths`; `watch` is told how many networks are done."""
    chosen = [get(path) for path in paths]
    found = {}
    for done, (name, network) in enumerate(networks.items()):
        watch(done)
        found[name] = _recorded(network, chosen)
    return Record(versions(), machine(), found)


def _recorded(network: Network, paths: Sequence[JacobianPath]) -> Recorded:
    problem = admit(*network.build(), seed=network.seed)
    judge = Judge(problem)
    verdicts, jacobians, enclosures = {}, {}, {}
    for path in paths:
        trial = Trial(problem, path, judge)
        said = [PROPERTIES[law].judge(trial) for law in DEFAULT]
        verdict: Verdict = next((one for one in said if one.status == "disagrees"), said[0])
        verdicts[path.name] = replace(verdict, seconds=None)
        if judge.oracle is not None:
            enclosures[path.name] = _enclosure(judge.oracle, problem.parameters, path)
        if trial.run.raised is None and (verdict.kind in (None, "value", "state")):
            jacobians[path.name] = {name: j.cpu() + 0 for name, j in trial.run.jacobian.items()}
    report = Report(verdicts, replace(facts(problem), versions={}), judge.forward)
    return Recorded(network, report, jacobians, enclosures)


def _enclosure(oracle: Oracle, parameters: Iterable[str], path: JacobianPath) -> Enclosure:
    every = slice(None)
    balls = {name: oracle.rows(name, every, every, rounding(path)) for name in parameters}
    return {name: Ball(ball.centre.cpu().clone(), ball.radius.cpu().clone()) for name, ball in balls.items()}


@contextmanager
def reserved(folder: Path) -> Iterator[Callable[[Record], None]]:
    """Take `folder`, which has to be new or empty, and give how to write a record into it; none: it is left as it was.

    Raises:
        InvalidProblem: the folder is in use, or can't be written to.
    """
    there = os.path.isdir(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidProblem(f"{folder} is in use; name a folder that is new or empty")
        numbers = (folder / NUMBERS).open("xb")
    except FileExistsError as error:
        raise InvalidProblem(f"{folder} is in use; name a folder that is new or empty") from error
    except OSError as error:
        raise InvalidProblem(f"can't write {folder}: {error.strerror or error}") from error
    try:
        with numbers:
            yield lambda record: _write(record, folder, numbers)
    except OSError as error:
        raise InvalidProblem(f"can't write {folder}: {error.strerror or error}") from error
    finally:
        if not (folder / MANIFEST).is_file():  # which is written last
            (folder / NUMBERS).unlink(missing_ok=True)
            if not there:
                folder.rmdir()


def _write(record: Record, folder: Path, numbers: Any) -> None:
    """Tensors that are equal are kept once: torch.save writes each one's memory once."""
    kept: list[Tensor] = []

    def once(t: Tensor) -> Tensor:
        alike = (k for k in kept if k.dtype == t.dtype and k.shape == t.shape and same(k, t).all())
        found = next(alike, None)
        if found is None:
            kept.append(found := t)
        return found

    data, problems = {}, []
    for name, found in record.networks.items():
        kept.clear()
        jacobians = {path: {p: once(j) for p, j in J.items()} for path, J in found.jacobians.items()}
        enclosures = {
            path: {p: (once(ball.centre), once(ball.radius)) for p, ball in balls.items()}
            for path, balls in found.enclosures.items()
        }
        data[name] = {"jacobians": jacobians, "enclosures": enclosures}
        network = json.loads(found.network.to_json())
        problems.append({"name": name, "network": network, "report": found.report.data()})
    torch.save(data, numbers)
    manifest = {"format": FORMAT, "versions": record.versions, "machine": record.machine, "problems": problems}
    (folder / MANIFEST).write_text(json.dumps(manifest, allow_nan=False, ensure_ascii=False), encoding="utf-8")
