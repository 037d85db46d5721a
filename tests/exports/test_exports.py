"""What a log holds comes out whole in each form, whatever characters are in it."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from conftest import MARKED
from jaccheck.cli import main
from jaccheck.exports.content import content_of
from jaccheck.exports.junit import junit
from jaccheck.exports.page import page
from jaccheck.exports.page.drawn import boxes
from jaccheck.fuzz.logread import counts
from tests.documented import assert_documented


class Outline(HTMLParser):
    """Tags, ids, links and headings of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                assert value not in self.ids
                self.ids.add(value)
            if name == "href":
                self.links.append(value)
            if name in ("src", "href"):
                self.addresses.append(value)


@pytest.fixture(scope="session", params=["found", "clean"])
def html(request, logs):
    return request.param, page(content_of(logs[request.param]))


def test_a_page_needs_nothing_else(html):
    outline = Outline(html[1])
    assert all(address.startswith(("#", "data:")) for address in outline.addresses)
    assert {link[1:] for link in outline.links if link.startswith("#")} <= outline.ids
    assert "default-src 'none'" in html[1]


def test_a_finding_is_seen_again_with_the_modules_of_its_campaign(logs):
    content = content_of(logs["found"])
    content.counts["plan"]["load"] = ["half & half.py"]
    found = replace(content, findings=(replace(content.findings[0], file="f.json"),))
    assert escape("jaccheck replay f.json --load 'half & half.py'").replace("&#x27;", "&#39;") in page(found)


def test_a_page_says_what_was_found(html, logs):
    kind, text = html
    found = counts(logs[kind])
    title = re.search(r"<title>(.*?)</title>", text)[1]
    assert title.startswith("✗" if found["findings"] else "✓")
    assert f"{found['networks']:,} random networks" in text
    assert text.count('<article class="finding"') == len(found["findings"]) == (kind == "found")
    if kind == "found":
        assert "data:image/png;base64," in text


@pytest.mark.parametrize(
    ("law", "said"),
    [("enclosure", "Jacobians and where they leave the enclosure"), ("batching", "what breaks batching needn")],
)
def test_a_page_says_of_what_its_pictures_are(logs, law, said):
    content = content_of(logs["found"])
    (finding,) = content.findings
    text = page(replace(content, findings=(replace(finding, property=law),)))
    assert said in re.search(r"<summary>(.*?)</summary>\s*<div[^>]*><img", text)[1]


def test_no_name_becomes_markup(html):
    kind, text = html
    assert MARKED not in text
    assert (escape(MARKED, quote=False) in text.replace("&#34;", '"')) == (kind == "found")
    assert "b" not in Outline(text).tags


def test_junit_has_a_failure_for_each_finding(logs):
    root = ET.fromstring(junit(content_of(logs["found"])))
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"autograd", MARKED}
    assert [suite.get("failures") for suite in suites.values()] == ["0", "1"]
    failure = suites[MARKED].find("testcase/failure")
    assert failure.get("type") == "value"
    assert "enclosure" in failure.text
    cases = {case.get("name") for case in suites["autograd"].iter("testcase")}
    assert cases == {"enclosure", "state"}
    clean = ET.fromstring(junit(content_of(logs["clean"])))
    assert clean.find(".//failure") is None


def test_the_counts_as_json_are_documented(logs, capsys):
    for name, status in (("found", 1), ("clean", 0)):
        assert main(["report", str(logs[name]), "--json"]) == status
        assert_documented("report", json.loads(capsys.readouterr().out))


def test_csv_has_a_row_for_each_path_check(logs, tmp_path):
    out = tmp_path / "rows.csv"
    assert main(["report", str(logs["found"]), "--csv", str(out)]) == 1
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with sqlite3.connect(logs["found"]) as db:
        (verdicts,) = db.execute("SELECT count(*) FROM verdict").fetchone()
    db.close()
    assert len([row for row in rows if row["path"]]) == verdicts
    assert {row["path"] for row in rows} == {"autograd", MARKED}
    assert all(not row["features"].isdigit() for row in rows)


def test_control_characters_of_an_exception_stay_out_of_xml(logs, tmp_path):
    content = content_of(logs["found"])
    object.__setattr__(content.findings[0], "text", "bell \x07, null \x00, surrogate \ud800")
    assert "bell \N{REPLACEMENT CHARACTER}" in ET.fromstring(junit(content)).find(".//failure").text


def test_a_networks_boxes_go_from_the_input_to_the_output(logs):
    finding = content_of(logs["found"]).findings[0]
    titles = [box.title for box in boxes(finding.network)]
    assert titles[0] == "x"
    assert titles[-1] == "f(x)"
    assert "Tanh" in str(boxes(finding.network))


def test_report_writes_what_it_is_asked_for(logs, tmp_path, capsys):
    page_, xml = tmp_path / "page.html", tmp_path / "junit.xml"
    assert main(["report", str(logs["clean"]), "--html", str(page_), "--junit", str(xml)]) == 0
    assert page_.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "40 networks" in capsys.readouterr().out


def test_the_text_says_what_is_known_and_how_it_ended(logs, capsys, monkeypatch):
    found = counts(logs["clean"]) | {"known": {"autograd-other-sample-not-finite": 1}, "stopped": "interrupted"}
    monkeypatch.setattr("jaccheck.fuzz.logread.counts", lambda log: found)
    assert main(["report", "log.db"]) == 0
    first, known = capsys.readouterr().out.splitlines()
    assert first.endswith(" s; interrupted; --seed 3")
    assert known.startswith("  known: autograd-other-sample-not-finite, 1 network: ")
    found["stopped"] = None
    assert main(["report", "log.db"]) == 0
    assert "; it runs still, or was killed; --seed 3\n" in capsys.readouterr().out


def test_two_reports_have_a_file_each(logs, tmp_path, capsys):
    one, same = tmp_path / "same", tmp_path / "folder" / ".." / "same"
    (tmp_path / "folder").mkdir()
    assert main(["report", str(logs["clean"]), "--html", str(one), "--junit", str(same)]) == 2
    assert "is named twice; name another file" in capsys.readouterr().err
    assert not one.exists()


@pytest.mark.parametrize("option", ["--html", "--junit", "--csv"])
def test_a_file_that_cant_be_written_is_one_line(logs, option, tmp_path, capsys):
    log = logs["clean"]
    before = log.read_bytes()
    assert main(["report", str(log), option, str(tmp_path / "nowhere" / "file")]) == 2
    assert main(["report", str(log), option, str(log)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "can't write" in lines[0]
    assert "is the log itself" in lines[1]
    assert log.read_bytes() == before
