"""Every argument is tried, what is expected there is the correctly rounded derivative, and errors are counted right."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
import torch
from flint import arb as real
from torch import nn

from jaccheck._values import FORMATS
from jaccheck.atlas import survey as atlas
from jaccheck.atlas.numbers import at_kinks, between, count, last_place, places_off, rounded_slope
from jaccheck.atlas.survey import BINS, Course, Survey, survey
from jaccheck.atlas.table import table
from jaccheck.cli import main
from jaccheck.defects.register import register
from jaccheck.enclosure.rules import Wire, layer_call
from jaccheck.paths import paths
from jaccheck.selftest.faults import bank
from tests import arb
from tests.documented import assert_documented
from tests.enclosure.cases import ACTIVATIONS, name

CURVED = [layer for layer in ACTIVATIONS if not isinstance(layer, nn.Identity)]
HALVES = ("float16", "bfloat16")
NEAR = 2.0**-36
"""Relative to a slope: far more than float64's formulas lose."""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_all_finite_numbers_come_in_order(dtype):
    form = FORMATS[dtype]
    every = between(form, 0, count(form))
    assert len(every.view(torch.int16).unique()) == count(form) == 2 * form.infinity
    assert every.isfinite().all()
    assert (every[1:].double() >= every[:-1].double()).all()
    assert torch.equal(torch.cat([between(form, 0, 9), between(form, 9, 20)]), every[:20])


def test_the_numbers_of_float32_begin_and_end_where_they_should():
    form, largest = FORMATS["float32"], torch.finfo(torch.float32).max
    assert between(form, 0, 1).item() == -largest
    assert between(form, count(form) - 1, count(form)).item() == largest
    middle = between(form, count(form) // 2 - 2, count(form) // 2 + 2)
    assert middle.tolist() == [-(2.0**-149), -0.0, 0.0, 2.0**-149]
    assert middle[1].signbit()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("layer", CURVED, ids=name)
def test_what_is_expected_is_the_correctly_rounded_derivative(layer, dtype):
    """Where it might not be, float64's slope lies next to the middle of two numbers: Arb tries all of these."""
    form, phi = FORMATS[dtype], layer_call(layer, (Wire(0),)).phi
    z = between(form, 0, count(form))
    z = z[~at_kinks(phi, z)]
    slope, expected = phi.slope(z.double()), rounded_slope(phi, z)
    to_the_middle = ((slope - expected).abs() - last_place(form, slope) / 2).abs()
    doubtful = (to_the_middle <= NEAR * slope.abs().clamp(min=2.0**form.lowest)) & (slope != expected)
    some = torch.zeros_like(doubtful)
    some[:: len(z) // 40] = True  # and a few of the others
    chosen = (t[doubtful | some].tolist() for t in (z, expected, last_place(form, expected)))
    for point, wanted, unit in zip(*chosen, strict=True):
        true = arb.at(layer, point)[1]
        off = abs(true - arb.exact(Fraction(wanted)))
        assert not off > arb.exact(Fraction(unit) / 2) * (1 + real(2) ** -60), (point, wanted, true)


def test_a_slope_that_is_not_correctly_rounded_would_be_seen():
    phi, z = layer_call(nn.Tanh(), (Wire(0),)).phi, torch.tensor([0.5], dtype=torch.float16)
    wrong = rounded_slope(phi, z) + 2.0**-11
    assert abs(arb.at(nn.Tanh(), 0.5)[1] - arb.exact(float(wrong))) > arb.exact(2.0**-12)


@pytest.mark.parametrize(
    ("got", "expected", "off"),
    [
        (1.0, 1.0, 0),
        (1.0009765625, 1.0, 1),
        (0.99951171875, 1.0, 0.5),
        (0.0, 2.0**-24, 1),
        (float("nan"), 1.0, torch.inf),
    ],
)
def test_errors_are_counted_in_last_places_of_the_expected_number(got, expected, off):
    found = places_off(FORMATS["float16"], torch.tensor([got]).half(), torch.tensor([expected], dtype=torch.float64))
    assert found.item() == off


def test_what_is_wrong_known_needless_and_unsupported_is_told():
    with bank()["sign"].inject():
        found = survey(nn.Mish(), "float16", ("autograd", "sign", "sqrt_ggn_exact", "vmap_jacrev"))
    assert found.arguments == count(FORMATS["float16"])
    assert {path: course.status for path, course in found.courses.items()} == {
        "autograd": "accurate",
        "sign": "wrong",
        "sqrt_ggn_exact": "unsupported",
        "vmap_jacrev": "needlessly inaccurate",
    }
    assert found.courses["sign"].outside > 30_000
    assert found.courses["vmap_jacrev"].worst > 1000
    assert found.courses["autograd"].worst <= 1
    text = table([found])
    assert "needlessly inaccurate at 86 arguments" in text
    known = survey(nn.Hardsigmoid(), "float16", ("autograd",)).courses["autograd"]
    assert known.status == ("known" if known.outside else "accurate")


@pytest.mark.parametrize(("kept", "status"), [(2**16, "known"), (100, "wrong")])
def test_a_path_is_only_said_to_be_wrong_as_known_if_all_its_errors_were_looked_at(monkeypatch, kept, status):
    monkeypatch.setattr("jaccheck.atlas.survey.known", lambda *_: register()[:1])
    monkeypatch.setattr("jaccheck.atlas.survey.KEPT", kept)
    with bank()["sign"].inject():
        course = survey(nn.Softsign(), "bfloat16", ("sign",)).courses["sign"]
    assert (course.status, course.outside > 30_000) == (status, True)


def test_forward_and_reverse_mode_see_the_same_arguments():
    found = survey(nn.Softsign(), "bfloat16", paths()[:6])
    assert all(float(course.curve.max()) == course.worst for course in found.courses.values())
    assert not any(course.outside for course in found.courses.values())


def test_the_command_prints_json_and_draws(tmp_path, capsys):
    words = ["atlas", "--activation", "Softsign", "--activation", "Tanh", "--dtype", "float16", "--path", "autograd"]
    assert main([*words, "--json", "--plot", str(tmp_path / "atlas.png")]) == 0
    out = json.loads(capsys.readouterr().out)
    assert [(one["activation"], one["dtype"], one["arguments"]) for one in out] == [
        ("Softsign()", "float16", 63488),
        ("Tanh()", "float16", 63488),
    ]
    assert out[1]["paths"][0]["status"] == "inaccurate"
    assert_documented("atlas", out)
    assert (tmp_path / "atlas.png").stat().st_size > 10_000
    assert main(words) == 0
    assert "Tanh()" in capsys.readouterr().out


@pytest.mark.parametrize("layers", [(nn.Mish(),), (nn.Mish(), nn.Softsign(), nn.Tanh()), (nn.Tanh(),) * 5])
def test_nothing_of_a_figure_is_cut_off(layers):
    pytest.importorskip("matplotlib")
    from jaccheck.atlas._plot import figure

    names = (*paths(), "a_path_with_a_long_name", "another_one_with_a_long_name")
    drawn = figure([Survey(layer, "float16", {name: Course(name) for name in names}) for layer in layers])
    drawn.canvas.draw()
    (legend,) = drawn.legends
    assert {text.get_text() for text in legend.get_texts()} == set(names)
    for part in (legend, drawn._suptitle, *drawn.axes):
        box = part.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= drawn.bbox.width
        assert 0 <= box.y0 < box.y1 <= drawn.bbox.height
    assert drawn.axes[0].get_ylabel() == "error of φ′, ulps"
    assert drawn.axes[len(layers) - 1].get_xlabel() == "argument"


def test_a_figure_says_where_an_error_is_larger_than_drawn():
    pytest.importorskip("matplotlib")
    from jaccheck.atlas._plot import LARGEST, figure

    curve = torch.zeros(BINS, dtype=torch.float64)
    curve[:9] = torch.inf
    courses = {"off": Course("off", worst=torch.inf, curve=curve), "right": Course("right")}
    (ax,) = figure([Survey(nn.Mish(), "bfloat16", courses)]).axes
    labels = {tick: label.get_text() for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert labels[LARGEST] == "∞ or ≥ $10^{6}$"
    assert max(ax.lines[0].get_ydata()) == LARGEST < ax.get_ylim()[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--activation Tahn", "did you mean Tanh"),
        ("--dtype float64", "there is no dtype 'float64' here"),
        ("--path nobody", "no path is called 'nobody'"),
    ],
)
def test_what_is_not_there_is_refused(capsys, words, message):
    assert main(["atlas", *words.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("goes", [0, 1, 2, 3])
def test_ctrl_c_ends_in_the_arguments_that_were_tried(monkeypatch, capsys, goes):
    left = iter(range(goes))

    def interrupted(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        original(*arguments)

    original = atlas._try
    monkeypatch.setattr(atlas, "_try", interrupted)
    monkeypatch.setattr(atlas, "CHUNK", 2**15)
    words = ["atlas", "--activation", "Tanh", "--activation", "Softsign", "--dtype", "float16", "--path", "autograd"]
    assert main([*words, "--json"]) == 130
    out, err = capsys.readouterr()
    tried = [(one["arguments"], one["interrupted"]) for one in json.loads(out or "[]")]
    assert tried == [[], [(2**15, True)], [(63488, False)], [(63488, False), (2**15, True)]][goes]
    assert err == ("" if goes else "jaccheck: interrupted\n")


def test_a_wrong_path_fails_the_command(capsys):
    with bank()["sign"].inject():
        assert main(["atlas", "--activation", "Softsign", "--dtype", "float16", "--path", "sign"]) == 1
    assert "outside the enclosure" in capsys.readouterr().out
