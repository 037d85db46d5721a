"""Each wrong path is caught by the property that is there for it, and the right one by none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from jaccheck import Network, Report, check, register_path
from jaccheck.paths import unregister_path
from jaccheck.properties import PROPERTIES
from jaccheck.strategies import exact_networks, networks
from tests.wrong_paths import WRONG, Wrong, right

STRATEGIES: dict[str, SearchStrategy[Network]] = {
    "networks": networks(max_outputs=36, max_jacobian=2**14),
    "half": networks(dtypes=("float16", "bfloat16"), activations=("Sigmoid", "Tanh"), max_outputs=9, max_width=5),
    "exact_networks": exact_networks(max_outputs=36, max_jacobian=2**14),
}
LOOKING = settings(
    max_examples=1000,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def judged(network: Network, path: str, law: str) -> Report:
    return check(*network.build(), paths=(path, "right"), properties=(law,), images=False)


@pytest.fixture(autouse=True)
def _right_path() -> Iterator[None]:
    register_path(Wrong("right", "", right))
    yield
    unregister_path("right")


@pytest.fixture(params=WRONG)
def wrong(request: pytest.FixtureRequest) -> Iterator[Wrong]:
    path = WRONG[request.param]
    register_path(path)
    yield path
    unregister_path(path.name)


def test_every_wrong_path_is_caught(wrong):
    def caught(network: Network) -> bool:
        verdicts = judged(network, wrong.name, wrong.law).verdicts
        return verdicts[wrong.name].status == "disagrees" and verdicts["right"].status != "disagrees"

    network = find(STRATEGIES[wrong.networks], caught, settings=LOOKING)
    verdict = judged(network, wrong.name, wrong.law).verdicts[wrong.name]
    assert verdict.reason or verdict.index  # it says what, or where


def test_every_property_has_a_wrong_path():
    assert {path.law for path in WRONG.values()} == set(PROPERTIES)


@pytest.mark.parametrize("law", PROPERTIES)
def test_what_a_wrong_path_is_told_from_is_right(law):
    """No finite network is held against the path that all wrong ones begin with."""
    finite = networks(
        max_outputs=36, max_jacobian=2**14, values=("integers", "ordinary"), activations=("ReLU", "Tanh", "ELU")
    )
    with pytest.raises(NoSuchExample):
        find(finite, lambda network: not judged(network, "right", law).ok, settings=settings(LOOKING, max_examples=50))
