"""Cost over size: the draw, the fit, and what is said of them. How long anything takes is asserted nowhere."""

from __future__ import annotations

import json
import random
from collections import Counter
from math import exp, log

import pytest

from jaccheck._errors import InvalidProblem
from jaccheck.bench import sweep as _sweep
from jaccheck.bench.sweep import FORWARD, sweep
from jaccheck.bench.sweep.fit import FEATURES, FEWEST, fitted
from jaccheck.bench.sweep.problems import stratified
from jaccheck.bench.sweep.result import Point, Sweep, cells
from jaccheck.cli import main
from tests.documented import assert_documented


def sizes(count: int, seed: int = 0) -> list[dict[str, float]]:
    rng = random.Random(seed)
    return [{name: float(rng.randint(1, 1000)) for name in FEATURES} for _ in range(count)]


# the fit


def test_a_power_law_is_found_again():
    drawn = sizes(40)
    law = fitted(drawn, [3e-6 * s["N"] * s["C"] ** 0.5 * s["P"] ** -0.25 * s["depth"] ** 2 for s in drawn])
    assert law.factor == pytest.approx(3e-6)
    assert law.exponents == pytest.approx({"N": 1.0, "C": 0.5, "P": -0.25, "depth": 2.0})
    assert law.residual == pytest.approx(1.0)
    assert law.worst == pytest.approx(1.0)
    assert law.count == 40
    assert law({"N": 2, "C": 4, "P": 16, "depth": 3}) == pytest.approx(3e-6 * 2 * 2 * 0.5 * 9)


def test_residuals_and_standard_errors_are_those_of_the_noise():
    """Of 400 fits the true exponent lies within two standard errors in about 95 % (binomial: 360 to 397, 1 in 10^6)."""
    rng, inside = random.Random(1), 0
    for seed in range(400):
        drawn = sizes(60, seed)
        law = fitted(drawn, [s["N"] * exp(rng.gauss(0, 0.3)) for s in drawn])
        inside += abs(law.exponents["N"] - 1) <= 2 * law.errors["N"]
    assert 360 <= inside <= 397
    assert log(law.residual) == pytest.approx(0.3, rel=0.5)
    assert law.worst >= law.residual


def test_a_size_that_never_varies_has_no_exponent_and_one_that_follows_another_gives_no_law():
    drawn = [size | {"depth": 3.0} for size in sizes(20)]
    law = fitted(drawn, [size["P"] for size in drawn])
    assert (law.exponents["depth"], law.errors["depth"]) == (0.0, 0.0)
    assert law.exponents["P"] == pytest.approx(1.0)
    assert fitted([size | {"C": size["N"] ** 2} for size in drawn], [size["P"] for size in drawn]) is None
    assert fitted(drawn[: FEWEST - 1], [1.0] * (FEWEST - 1)) is None


# the draw


@pytest.fixture(scope="module")
def drawn():
    return stratified(60, 0, "float32", "cpu")


def test_problems_of_all_sizes_each_once(drawn):
    assert len(drawn) == len(set(drawn)) == 60
    assert {network.dtype for network in drawn} == {"float32"}
    for what in ("batch", "outputs", "parameters"):
        by_four = Counter(int(log(getattr(network, what), 4)) for network in drawn)
        assert len(by_four) >= 3
        assert max(by_four.values()) < 45  # the strategies draw small ones by far the most
    assert all(network.batch >= 1 for network in drawn)


def test_the_same_seed_draws_the_same(drawn):
    assert stratified(60, 0, "float32", "cpu") == drawn
    assert stratified(60, 1, "float32", "cpu") != drawn


# the sweep


@pytest.fixture(scope="module")
def small():
    return sweep(problems=12, paths=["autograd", "vmap_jacrev", "vmap_jacfwd"])


@pytest.mark.long
def test_each_problem_is_a_point_and_each_path_that_is_right_enters(small):
    assert len(small.points) == 12
    for point in small.points:
        assert {"autograd", "vmap_jacrev"} <= point.seconds.keys() == point.bytes.keys()
        assert ("vmap_jacfwd" in point.seconds) == (FORWARD >= point.P)
        assert point.fastest in point.seconds
        assert point.wrong == ()
        assert min(point.N, point.C, point.P, point.depth) >= 1
    assert small.time.keys() >= {"autograd", "vmap_jacrev"}
    assert not small.interrupted


def test_as_text_as_json_and_as_a_figure(small, tmp_path):
    text = str(small)
    assert "12 problems, --seed 0, float32 on cpu" in text
    assert text.count("typically off by") == 2
    assert "vmap_jacfwd, which therefore had no problem with more than 1,000 of them" in text
    assert "Fastest correct path" in text

    def refuse(word: str) -> None:
        raise AssertionError(word)

    data = json.loads(small.to_json(), parse_constant=refuse)
    assert_documented("bench --sweep", data)
    assert data["time"]["autograd"]["exponents"].keys() == set(FEATURES)
    assert sum(of for *_, of in data["cells"]) == sum(point.fastest is not None for point in small.points)
    pytest.importorskip("matplotlib")
    figure = small.plot(tmp_path / "sweep.svg")
    assert [ax.get_ylabel() for ax in figure.axes][:2] == ["time, s", "peak memory, bytes"]
    assert (tmp_path / "sweep.svg").stat().st_size > 0


def test_a_law_is_drawn_for_possible_problems_alone():
    pytest.importorskip("matplotlib")
    sizes = [(8, P) for P in (1, 10, 100, 1000, 10_000)] + [(1, 1), (2, 3), (8, 5), (8, 7), (16, 9), (4, 20), (32, 50)]
    made = Sweep.of([point(N, P, "a") for N, P in sizes], seed=0, dtype="float32", device="cpu", interrupted=False)
    assert made.time
    for ax in made.plot().axes[:2]:
        lines = [line for line in ax.lines if len(line.get_xdata()) == 50]
        assert len(lines) == 2
        for line in lines:
            assert line.get_xdata()[0] == 8 * 2  # the middle N C, and one parameter
            assert line.get_xdata()[-1] == pytest.approx(8 * 2 * 10_000)


def test_residuals_are_plain_numbers(small):
    pytest.importorskip("matplotlib")
    drawn = small.plot()
    drawn.canvas.draw()
    labels = {label.get_text() for label in drawn.axes[2].get_yticklabels()}
    assert labels - {""}
    assert not any("e" in label or "$" in label for label in labels)


def point(N: int, P: int, fastest: str, sure: bool = True, wrong: tuple[str, ...] = ()) -> Point:
    seconds = {"a": N * 1e-3, "b": P * 1e-3}
    return Point(N, 2, P, 1, seconds, {"a": N, "b": P}, fastest, sure, wrong)


def test_who_is_fastest_where():
    points = [point(1, 10, "a"), point(1, 20, "a", False), point(2, 30, "b"), point(100, 5000, "b", wrong=("a",))]
    made = Sweep.of(points, seed=0, dtype="float32", device="cpu", interrupted=False)
    assert list(cells(made)) == [(0, 0, "a", 2, 3), (2, 2, "b", 1, 1)]
    lines = [" ".join(line.split()) for line in str(made).splitlines()]
    assert "a 2 of 4 1 surely" in lines
    assert "b 2 of 4 2 surely" in lines
    assert "below 8 a 67%" in lines
    assert "from 64 b 100%" in lines
    assert any(line.startswith("a was wrong or raised on 1 problem, which is left out") for line in lines)
    assert made.time == {}
    assert lines.count("a: no law; 4 problems, too few") == lines.count("b: no law; 4 problems, too few") == 2
    assert not any("typically off by" in line for line in lines)


def test_an_interrupt_ends_it_with_what_has_been_measured(monkeypatch, capsys):
    run, calls = _sweep.run, []

    def interrupted(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(*args, **options)

    monkeypatch.setattr(_sweep, "run", interrupted)
    found = sweep(problems=12, paths="autograd")
    assert len(found.points) == 2
    assert found.interrupted
    assert "2 problems, interrupted" in str(found)
    calls.clear()
    assert main(["bench", "--sweep", "--problems", "12", "--path", "autograd"]) == 130
    assert "2 problems, interrupted" in capsys.readouterr().out


def test_an_interrupt_before_anything_has_been_measured_is_just_that(monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_sweep, "stratified", interrupted)
    assert main(["bench", "--sweep", "--problems", "12"]) == 130
    assert capsys.readouterr() == ("", "jaccheck: interrupted\n")


def test_the_command(capsys, monkeypatch, small):
    asked = {}

    def answer(**options):
        asked.update(options)
        return small

    monkeypatch.setattr(_sweep, "sweep", answer)
    assert main(["bench", "--sweep", "--problems", "12", "--seed", "7", "--path", "autograd", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 0
    assert (asked["problems"], asked["seed"], asked["paths"]) == (12, 7, ["autograd"])
    assert main(["bench", "--sweep"]) == 0
    assert "Fastest correct path" in capsys.readouterr().out
    assert asked["paths"] == "all"


def test_the_help_says_how_many_a_fit_takes(capsys):
    assert main(["bench", "--help"]) == 0
    assert f"at least {FEWEST}" in " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("bench", "name a target to measure, or --sweep and none"),
        ("bench --sweep file.py:make", "name a target to measure, or --sweep and none"),
        ("bench --sweep --problems 3", "a fit takes 10 problems or more, not 3"),
        ("bench --sweep --path odd", "no path is called 'odd'"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, says):
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert says in err


def test_no_path_that_can_be_measured(monkeypatch):
    monkeypatch.setattr(_sweep, "stratified", lambda *args: [])
    with pytest.raises(InvalidProblem, match="no path could be measured and proved right"):
        sweep(problems=12, paths="autograd")
