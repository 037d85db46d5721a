"""Hypothesis profiles, one torch thread a worker, dtypes and devices."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

from jaccheck._values import FORMATS
from jaccheck.paths import paths, unregister_path
from jaccheck.strategies.targets import present

settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background processes have it; tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # a worker each; more would only wait for one another


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Unless asked for another order: a worker that is done takes over half of what another has before it."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(autouse=True)
def paths_of_its_own() -> Iterator[None]:
    """What a test registers (an example of the README, say) takes part in no other."""
    before = paths()
    yield
    for name in set(paths()) - set(before):
        unregister_path(name)


@pytest.fixture(params=sorted(FORMATS))
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return FORMATS[request.param].dtype


@pytest.fixture(params=present())
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)
