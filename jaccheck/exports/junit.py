"""A campaign as JUnit XML, which CI systems show: a suite for each path, a case for each property."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from jaccheck.exports.content import Content, FindingRow

_NOT_XML = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), 0xFFFE, 0xFFFF) if chr(code) not in "\t\n\r"}


def junit(content: Content) -> str:
    """The XML document.

    A case fails with each finding of its path and property, and is skipped where no network had an answer. What is no
    path's (a wrong forward pass, a fault of jaccheck's own, a crash) is a suite of its own name.
    """
    root = ET.Element("testsuites", name="jaccheck", time=f"{content.seconds:.3f}")
    for path in content.suites():
        suite = ET.SubElement(root, "testsuite", name=path, timestamp=content.started.isoformat(timespec="seconds"))
        properties = ET.SubElement(suite, "properties")
        for name, value in content.facts():
            ET.SubElement(properties, "property", name=name, value=_clean(value))
        failures = skipped = tests = 0
        for law in content.laws(path):
            tests += 1
            case = ET.SubElement(suite, "testcase", classname=f"jaccheck.{path}", name=law)
            counts = content.properties.get(law, {}).get(path, {})
            found = [finding for finding in content.findings if (finding.path, finding.property) == (path, law)]
            failures += bool(found)
            for finding in found:
                failure = ET.SubElement(case, "failure", type=finding.kind, message=_clean(finding.headline))
                failure.text = _clean("\n\n".join(_said(finding)))
            if not found and not any(counts.get(status) for status in ("agrees", "known", "disagrees")):
                skipped += 1
                ET.SubElement(case, "skipped", message="no network on which there was anything to say")
            ET.SubElement(case, "system-out").text = ", ".join(f"{n} {status}" for status, n in counts.items())
        suite.set("tests", str(tests))
        suite.set("failures", str(failures))
        suite.set("skipped", str(skipped))
        suite.set("errors", "0")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _said(finding: FindingRow) -> Iterator[str]:
    yield finding.text
    if finding.reproducer:
        yield finding.reproducer


def _clean(text: str) -> str:
    """Without what XML 1.0 can't hold, whatever a model or an exception has in its name."""
    return text.translate(_NOT_XML).encode("utf-8", "replace").decode()
