import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from jaccheck._errors import InvalidProblem
from jaccheck._report import Verdict
from tests.reports import AGREES, EVERYTHING, FACTS, WRONG, image, report

pytest.importorskip("matplotlib")

PICTURED = report(AGREES, WRONG, images={"autograd": image(), "sqrt_ggn_exact": image(1e30)})


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def test_each_path_has_a_column_with_its_jacobian_above_and_where_it_is_outside_below():
    above_a, above_b, below_a, below_b = panels(PICTURED.plot())
    assert above_a.get_title().startswith("autograd\nagrees")
    assert above_b.get_title() == "sqrt_ggn_exact\ndisagrees (value), 12 outside, 4 vacuous"
    for ax in (above_a, above_b, below_a, below_b):
        assert ax.images[0].get_array().shape == (4, 8)
        assert ax.images[0].get_extent() == [0, 8, 4, 0]
    assert above_a.images[0].get_array()[0, 7] == 1.0
    assert below_b.images[0].get_array()[0, 1] == 0.5
    assert below_b.images[0].get_array().mask[0, 2]


def test_a_property_of_other_problems_is_named_and_its_count_is_not_said_of_the_picture():
    law = replace(WRONG, property="batching")
    (*_, above, _, _) = panels(report(AGREES, law, images=PICTURED.images).plot())
    assert above.get_title() == "sqrt_ggn_exact\nbatching: disagrees (value)\nshown: the problem itself"


def test_the_colour_bar_is_shared_symmetric_and_not_ruled_by_the_path_that_is_wrong():
    above_a, above_b, *_ = panels(PICTURED.plot())
    assert above_a.images[0].norm is above_b.images[0].norm
    assert (above_a.images[0].norm.vmin, above_a.images[0].norm.vmax) == (-1.0, 1.0)


def test_one_entry_outside_among_many_still_shows():
    (_, below) = panels(report(AGREES, images={"autograd": replace(image(), outside=((1e-4, 0.0),))}).plot())
    colours = below.images[0].cmap(below.images[0].norm([1e-4, 0.0]))
    assert max(abs(colours[0] - colours[1])) > 0.3


def test_the_colour_bar_shows_white_for_no_entry_outside():
    bar = next(ax for ax in PICTURED.plot().axes if ax.get_ylabel().startswith("share"))
    assert [label.get_text() for label in bar.get_yticklabels()] == ["> 0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert "white: none" in bar.get_ylabel()
    colours = [tuple(patch.get_facecolor()) for patch in bar.patches]
    assert (1.0, 1.0, 1.0, 1.0) in colours


def test_parameters_are_bounded_and_named():
    below = panels(PICTURED.plot())[-1]
    assert [label.get_text() for label in below.get_xticklabels()] == ["0.weight", "0.bias"]
    assert 6.0 in [line.get_xdata()[0] for line in below.lines]


def test_names_of_many_parameters_do_not_overlap():
    many = {f"{k}.{name}": shape for k in range(40) for name, shape in (("weight", (9, 9)), ("bias", (9,)))}
    figure = report(AGREES, images={"autograd": image()}, problem=replace(FACTS, parameters=many)).plot()
    figure.canvas.draw()
    boxes = sorted(
        (label.get_window_extent() for label in panels(figure)[-1].get_xticklabels()), key=lambda box: box.x0
    )
    assert len(boxes) > 10
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))


def test_a_path_without_a_jacobian_says_why():
    drawn = report(
        AGREES, Verdict("odd", "unsupported", reason="no rule for Conv2d"), images={"autograd": image()}
    ).plot()
    assert [text.get_text() for text in panels(drawn)[1].texts] == ["no rule for Conv2d"]


def test_a_long_exception_stays_in_its_panel_whatever_is_in_it():
    raised = Verdict("odd", "disagrees", "raised", reason="RuntimeError: costs $5 and $x^{ " * 40)
    drawn = report(AGREES, raised, images={"autograd": image()}).plot()
    drawn.canvas.draw()
    frame, words = panels(drawn)[1].get_window_extent(), panels(drawn)[1].texts[0].get_window_extent()
    assert frame.x0 < words.x0 < words.x1 < frame.x1
    assert frame.y0 < words.y0 < words.y1 < frame.y1


@pytest.mark.parametrize("values", [(), ((),), ((math.nan, math.inf),), ((0.0,),)])
def test_empty_and_non_finite_jacobians_can_be_drawn(values, tmp_path):
    empty = replace(image(), values=values, outside=values)
    report(AGREES, images={"autograd": empty}, problem=replace(FACTS, N=0)).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_it_is_saved_in_the_format_of_the_suffix(suffix, tmp_path):
    file = tmp_path / f"report.{suffix}"
    EVERYTHING.plot(file)
    assert file.read_bytes()[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")


def test_what_can_not_be_drawn_or_saved_says_so(tmp_path):
    with pytest.raises(InvalidProblem, match=r"ask for them by jaccheck.check\(…, images=True\)"):
        report(AGREES).plot()
    with pytest.raises(InvalidProblem, match=r"report.odd.*Format 'odd' is not supported"):
        EVERYTHING.plot(tmp_path / "report.odd")
    with pytest.raises(InvalidProblem, match=r"report.*its suffix should say the format"):
        EVERYTHING.plot(tmp_path / "report")
    with pytest.raises(OSError, match="No such file"):
        EVERYTHING.plot(tmp_path / "missing" / "report.png")


def run(code: str) -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=root
    )
    return done.stdout.strip()


def test_plot_leaves_pyplot_alone_and_a_report_needs_no_matplotlib():
    start = "import sys; from tests.reports import EVERYTHING; str(EVERYTHING); EVERYTHING.to_json(); "
    loaded = "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules); "
    assert run(start + loaded + "EVERYTHING.plot(); " + loaded).splitlines() == ["False False", "True False"]


@pytest.mark.long
def test_without_matplotlib_plot_says_what_to_install():
    code = """
import sys
sys.modules["matplotlib"] = None
from tests.reports import EVERYTHING
try:
    EVERYTHING.plot()
except ImportError as error:
    print(error)
"""
    assert run(code) == "plot() needs matplotlib, which is not installed: pip install 'jaccheck[plot]'"
