"""Measure the page of a campaign of very many networks.

    python tests/exports/many.py [NETWORKS]

runs a small campaign with a finding, and repeats its rows and totals in the log until there are so many networks, by
default 1,000,000; then it prints as JSON the seconds of ``jaccheck report LOG --html FILE`` and the peak of its memory,
the megabytes of the log and of the page, and the seconds in which Chromium opens it, where that is installed: until it
is loaded, and until the first chart is drawn.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))
import pytest

from conftest import MARKED, Marked, campaign
from jaccheck.paths import register_path

# The column of each that goes on; the rest is as it was.
SHIFTED = {"network": "id", "verdict": "network", "known": "network"}
A_MINUTE = 1800  # networks, of one or two workers
TOTALS = {
    "path_total": ("networks", "elements", "vacuous"),
    "property_total": ("networks",),
    "layer_total": ("networks",),
    "feature": ("networks",),
    "cost": ("networks", "microseconds"),
    "sharpness": ("networks",),
    "spent": ("seconds",),
    "refused": ("networks",),
}


def repeated(log: Path, networks: int) -> None:
    """Let the log hold so many networks, or a few more, by repeating its own, each time under new numbers."""
    with closing(sqlite3.connect(log)) as db, db:
        (own,) = db.execute("SELECT max(id) + 1 FROM network").fetchone()
        (minute,) = db.execute("SELECT min(minute) FROM minute").fetchone()
        times = -(-networks // own)
        again = f"WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < {times - 1})"
        for table, key in SHIFTED.items():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join(f"{name} + k.i * {own}" if name == key else name for name in columns)
            db.execute(f"{again} INSERT INTO {table} SELECT {chosen} FROM {table}, k WHERE k.i < {times}")
        rates = [A_MINUTE] * (own * times // A_MINUTE) + [own * times % A_MINUTE]
        db.execute("DELETE FROM minute")
        db.executemany("INSERT INTO minute VALUES (?, ?)", enumerate(rates, minute))
        for table, sums in TOTALS.items():
            db.execute(f"UPDATE {table} SET {', '.join(f'{name} = {name} * {times}' for name in sums)}")


def made(log: Path, page: Path) -> dict[str, float]:
    """The command in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "jaccheck", "report", str(log), "--html", str(page)]
    assert subprocess.run(command, stdout=sys.stderr).returncode == 1  # there is a finding
    return {
        "to make the page, s": time.perf_counter() - start,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3,
    }


def opened(page: Path) -> dict[str, float]:
    """In Chromium; nothing where there is none."""
    try:
        from test_browser import CHROMIUM, DRIVER, FLAGS, WebDriverWait, webdriver
    except pytest.skip.Exception:  # selenium is missing
        return {}
    if not CHROMIUM or not DRIVER:
        return {}
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        start = time.perf_counter()
        driver.get(page.as_uri())
        loaded = time.perf_counter() - start
        WebDriverWait(driver, 60, 0.02).until(lambda browser: browser.find_elements("css selector", ".main-svg"))
        return {"to open it, s": loaded, "to its first chart, s": time.perf_counter() - start}
    finally:
        driver.quit()


def main() -> None:
    networks = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    with TemporaryDirectory() as folder:
        log, page = Path(folder, "log.db"), Path(folder, "page.html")
        register_path(Marked())
        campaign(log, "autograd", "batch_grad", "sqrt_ggn_exact", MARKED)
        start = time.perf_counter()
        repeated(log, networks)
        filled = time.perf_counter() - start
        with closing(sqlite3.connect(log)) as db:
            rows = {
                table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("network", "verdict", "minute")
            }
        found = {"rows": rows, "to fill the log, s": filled, **made(log, page)}
        found |= {"log, MB": log.stat().st_size / 1e6, "page, MB": page.stat().st_size / 1e6, **opened(page)}
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
