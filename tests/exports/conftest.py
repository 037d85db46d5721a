"""Two small campaigns: one with a finding, by a path whose name is no plain text, and one without."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaccheck.fuzz.campaign import Campaign
from jaccheck.fuzz.log import Log
from jaccheck.fuzz.plan import Plan
from jaccheck.paths import get, register_path, unregister_path

MARKED = '<b>half & "quoted"</b>'


class Marked:
    """Half of the Jacobian, wherever there is a Tanh."""

    name = MARKED

    def jacobian(self, model, x):
        factor = 0.5 if "Tanh()" in str(model) else 1.0
        return {name: j * factor for name, j in get("vmap_jacrev").jacobian(model, x).items()}


def campaign(file: Path, *paths: str) -> Path:
    plan = Plan(
        seed=3,
        paths=paths,
        properties=("enclosure", "state"),
        dtypes=("float32", "float64"),
        devices=("cpu",),
        examples=40,
        keep_going=True,
    )
    log = Log.create(file, plan)
    log.close(Campaign(plan, log=log).run())
    return file


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("logs")
    register_path(Marked())
    try:
        found = campaign(folder / "found.db", "autograd", MARKED)
    finally:
        unregister_path(MARKED)
    return {"found": found, "clean": campaign(folder / "clean.db", "autograd")}
