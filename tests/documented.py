"""What docs/json.md says of the JSON that a command prints."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tests.source import ROOT


@cache
def keys(command: str) -> frozenset[str]:
    """The keys of the command's table; one that isn't always there ends in ``?``."""
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    (table,) = re.findall(rf"^## {command}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    return frozenset(key for cell in cells for key in re.findall(r"`(.+?)`", cell))


def assert_documented(command: str, data: Any, at: str = "") -> None:
    """Each object in `data` has the keys that the table gives it, and no others."""
    for one in data if isinstance(data, list) else [data]:
        if not isinstance(one, dict):
            continue
        below = {key[len(at) :].partition(".")[0] for key in keys(command) if key.startswith(at)}
        fixed = {key.removesuffix("?") for key in below} - {"*"}
        assert {key for key in below if not key.endswith("?")} - {"*"} <= one.keys(), at
        assert "*" in below or one.keys() <= fixed, (at, one.keys() - fixed)
        for key, value in one.items():
            inner = f"{at}{key if key in fixed else '*'}."
            if any(known.startswith(inner) for known in keys(command)):
                assert_documented(command, value, inner)
