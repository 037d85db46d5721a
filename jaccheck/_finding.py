"""A failure on a network: what it is, told from others, and kept in a file."""

from __future__ import annotations

import json
import os
import shlex
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from jaccheck._check import WhenWrong, judged, versions
from jaccheck._errors import InvalidProblem
from jaccheck._network import Network
from jaccheck._report import Report, Verdict
from jaccheck.diagnosis import family
from jaccheck.reproducer import NoReproducer, reproducer

FORMAT = 1
FORWARD = "forward"
"""Stands for path and property where the model's own forward pass is wrong, and no path is accused."""
CRASH = "jaccheck"
"""Stands for them where jaccheck itself fails."""
WORKER = "worker"
"""Stands for the path where a worker's process died or hung, and no path did it by itself."""
PROCESS = "process"
"""Stands for the property where a process died ("crashed") or didn't end ("hung")."""


class Failure(NamedTuple):
    """Who fails at what: two failures that differ in one of these are two."""

    path: str
    property: str
    kind: str
    shape: str = ""
    """Of the error, where it isn't that of the first failure with the same path, property and kind: a family's name."""

    @classmethod
    def of(cls, verdict: Verdict) -> Failure:
        """That of which a verdict that disagrees tells."""
        return cls(verdict.path, verdict.property, verdict.kind or "value")

    def __str__(self) -> str:
        if self.property == PROCESS:
            return f"{'a worker' if self.path == WORKER else self.path}: the process {self.kind}"
        said = {FORWARD: "the forward pass is wrong", CRASH: f"jaccheck itself raised {self.kind}"}
        return said.get(self.path, f"{self.path}: {self.property} ({self.kind}{self.shape and f', {self.shape}'})")


def failures(report: Report) -> Iterator[Failure]:
    """What `report` accuses, in its order."""
    if report.forward is not None:
        law = report.forward.property
        yield Failure(FORWARD, FORWARD if law == "enclosure" else law, "value")
    for verdict in report.verdicts.values():
        if verdict.status == "disagrees":
            yield Failure.of(verdict)


def examined(
    network: Network,
    paths: Sequence[str],
    properties: Sequence[str],
    *,
    images: bool = False,
    words: bool = True,
    when_wrong: WhenWrong | None = None,
) -> tuple[Report, dict[Failure, Report]]:
    """Check `network`: the whole report, and for each failure the one that shows it, with pictures if asked.

    A verdict tells of one failure, so where there is one, each property's own verdicts are looked at. Without `words`,
    they don't say what the errors look like.
    """
    laws = [asked_of(network, law) for law in properties]
    seed = network.seed
    options: dict[str, Any] = {"images": images, "words": words, "when_wrong": when_wrong}
    found = judged(*network.build(), paths=paths, properties=laws, seed=seed, **options)
    reports: dict[Failure, Report] = {}
    for alone in map(found.alone, laws if not found.report.ok else ()):
        for failure in failures(alone):
            reports.setdefault(failure, _about(alone, failure, again(network, paths, failure)))
    return found.report, reports


def asked_of(network: Network, law: str) -> str:
    """The property as it is asked of `network`: `sequence` with the network's steps."""
    return f"sequence:{','.join(network.steps)}" if law == "sequence" else law


def _about(report: Report, failure: Failure, again: str) -> Report:
    """The report with the verdict on the path that fails in front."""
    first = {path: verdict for path, verdict in report.verdicts.items() if path == failure.path}
    return replace(report, verdicts={**first, **report.verdicts}, again=again)


def again(network: Network, paths: Sequence[str], failure: Failure) -> str:
    """The Python expression that shows the failure."""
    chosen = tuple(paths) if failure.path == FORWARD else (failure.path,)
    law = asked_of(network, failure.property)
    properties = "" if law in ("enclosure", FORWARD) else f", properties=({law!r},)"
    built = f"*jaccheck.Network.from_json({network.to_json()!r}).build()"
    seed = "" if network.seed is None else f", seed={network.seed}"
    return f"jaccheck.check({built}, paths={chosen!r}{properties}{seed})"


def replay(file: str, load: Sequence[str]) -> str:
    """The command line that shows a failure saved in `file` again; `load` are the modules that register its paths."""
    return shlex.join(["jaccheck", "replay", file, *(word for module in load for word in ("--load", module))])


@dataclass(frozen=True)
class Finding:
    """A failure, the network that shows it, and the report."""

    failure: Failure
    network: Network
    paths: tuple[str, ...]
    report: Report | None = field(default=None, compare=False)
    crash: str | None = field(default=None, compare=False)
    """The traceback, where it is jaccheck that failed, or how the process ended and its last words."""
    timeout: float | None = field(default=None, compare=False)
    """Seconds after which the process was said to hang."""
    properties: tuple[str, ...] = field(default=(), compare=False)
    """What was asked when the process ended."""
    unfinished: bool = field(default=False, compare=False)
    """The time was up before the network was as small as it can be."""
    reproducible: bool = field(default=True, compare=False)
    """The failure showed each time that the network was tried."""
    versions: Mapping[str, str] = field(default_factory=versions, compare=False)

    def to_json(self) -> str:
        """This finding for `from_json`, without its report, which a check makes anew."""
        return json.dumps(self.data(), indent=2, allow_nan=False)

    def data(self) -> dict[str, Any]:
        """What `to_json` writes."""
        return {
            "format": FORMAT,
            **self.failure._asdict(),
            "paths": list(self.paths),
            "network": json.loads(self.network.to_json()),
            "versions": dict(self.versions),
            **({} if self.timeout is None else {"timeout": self.timeout}),
            **({"properties": list(self.properties)} if self.properties else {}),
        }

    @classmethod
    def from_json(cls, text: str) -> Finding:
        """The finding that `to_json` wrote.

        Raises:
            InvalidProblem: `text` isn't one; the message names the field.
        """
        data = _object(text)
        data.setdefault("shape", "")
        for name in Failure._fields:
            if not isinstance(data.get(name), str):
                raise InvalidProblem(f"{name} should be a string, but is {data.get(name)!r}")
        paths = data.get("paths")
        if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
            raise InvalidProblem(f"paths should be a list of names, but is {paths!r}")
        if "network" not in data:
            raise InvalidProblem("network is missing")
        found = data.get("versions", {})
        if not isinstance(found, dict):
            raise InvalidProblem(f"versions should be an object, but is {found!r}")
        network = Network.from_json(json.dumps(data["network"]))
        timeout = data.get("timeout")
        if timeout is not None and (type(timeout) not in (int, float) or not timeout > 0):
            raise InvalidProblem(f"timeout should be a number of seconds, but is {timeout!r}")
        asked = data.get("properties", [])
        if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
            raise InvalidProblem(f"properties should be a list of names, but is {asked!r}")
        failure = Failure(*(data[name] for name in Failure._fields))
        return cls(failure, network, tuple(paths), versions=found, timeout=timeout, properties=tuple(asked))

    @property
    def family(self) -> str:
        """Of shapes of errors; "" if the error has none, see `jaccheck.diagnosis`."""
        verdict = None if self.report is None else self.report.verdicts.get(self.failure.path)
        return "" if verdict is None else family(verdict.error_shape)

    def called(self, failure: Failure) -> Finding:
        """The same, of the failure as it is listed."""
        return replace(self, failure=failure)

    def reproducer(self) -> str:
        """A script that shows it without jaccheck; see `jaccheck.reproducer`.

        Raises:
            NoReproducer: there can't be one; the message says why.
        """
        if self.report is None:
            raise NoReproducer(
                "a process that ends can't tell; see it again by jaccheck replay"
                if self.failure.property == PROCESS
                else "this is a fault of jaccheck's own"
            )
        path = None if self.failure.path == FORWARD else self.failure.path
        return reproducer(*self.network.build(), self.report, path, seed=self.network.seed)

    @property
    def file_name(self) -> str:
        """A name for its file, the same for the same failure on the same network."""
        digest = zlib.crc32(json.dumps([*self.failure, self.network.to_json()]).encode())
        words = dict.fromkeys(filter(None, self.failure))  # a wrong forward pass has the same word twice
        name = "-".join([*words, f"{digest:08x}"])
        return "".join(c if c.isalnum() or c in "-_." else "_" for c in name) + ".json"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write it into `folder`, which is made if need be.

        Raises:
            OSError: it can't be written.
        """
        file = Path(folder) / self.file_name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.to_json() + "\n", encoding="utf-8")
        return file


Listed = Mapping[Failure, str]
"""What has been found, each with the family of shapes of its error."""


def recognized(found: Mapping[Failure, Finding], listed: Listed) -> dict[Failure, Finding]:
    """The same findings under the names of those that are listed, where they are the same.

    By path, property, kind and, as far as both have one, the error's shape. One that differs from all that are listed
    in the shape alone is named after that.
    """
    named: dict[Failure, Finding] = {}
    for failure, finding in found.items():
        others = [other for other in listed if other[:3] == failure[:3]]
        same = [other for other in others if alike(listed[other], finding.family)]
        same.sort(key=lambda other: listed[other] != finding.family)
        name = same[0] if same else failure._replace(shape=finding.family if others else "")
        named[name] = finding.called(name)
    return named


def alike(family: str, other: str) -> bool:
    """Whether two errors may be of the same shape, "" being none that is known."""
    return family == other or not family or not other


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidProblem(f"a saved failure should be JSON, but: {error}") from error
    if not isinstance(data, dict):
        raise InvalidProblem("a saved failure should be a JSON object")
    if "layers" in data and "network" not in data:
        raise InvalidProblem("this is a network and no saved failure; use: jaccheck check")
    if "format" not in data:
        raise InvalidProblem("this is no saved failure, since it has no format")
    if data["format"] != FORMAT:
        raise InvalidProblem(f"format is {data['format']!r}, but a saved failure has format {FORMAT}")
    return data
