"""Other processes, as Linux tells of them in /proc."""

from __future__ import annotations

from pathlib import Path


def children(pid):
    """Those that process `pid` has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def workers_of(pid):
    """The processes that were forked from the server that `pid` has started."""
    return [child for server in children(pid) for child in children(server)]


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
