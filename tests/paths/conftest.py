from __future__ import annotations

import pytest

from jaccheck.paths import Path, get, paths
from jaccheck.paths.sqrt_ggn_exact import SqrtGGNExact

PATHS = {**{name: get(name) for name in paths()}, "sqrt_ggn_exact_mean": SqrtGGNExact(reduction="mean")}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Path:
    return PATHS[request.param]
